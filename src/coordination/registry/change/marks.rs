//! What a store's node says of its transfers.

use std::collections::BTreeSet;

use crate::coordination::api::Session;
use crate::coordination::tree::CreateMode;
use crate::core::id::{Partition, StoreId};
use crate::core::ring::change::Marks;

use super::super::access::{self, Attempts, Written};
use super::super::error::Error;
use super::super::paths;
use super::records::TransferRecord;

/// Reports that an arriving store durably holds all of these partitions that its places ask for, each since the
/// [`Slice::since`](crate::core::ring::Slice::since) that it was copied in. Said in batches; what was said before of other partitions stays.
///
/// # Errors
/// Those of the service. What was said is looked for before it is said again.
pub async fn report_arrived(session: &dyn Session, store: StoreId, partitions: &Marks) -> Result<(), Error> {
    edit(session, store, |record| record.arrived.extend(partitions)).await
}

/// Reports that a draining store holds nothing of these partitions any more. Each mark names the `since` of the slice that says that the
/// store drains: if that changes while it drains, it looks again and says it of the new one.
///
/// # Errors
/// Those of the service.
pub async fn report_drained(session: &dyn Session, store: StoreId, partitions: &Marks) -> Result<(), Error> {
    edit(session, store, |record| record.drained.extend(partitions)).await
}

/// Reports the partitions that a store owns and may lack something of; those that it said before and are not among them are
/// in sync again.
///
/// # Errors
/// Those of the service.
pub async fn report_unsynced(
    session: &dyn Session,
    store: StoreId,
    partitions: &BTreeSet<Partition>,
) -> Result<(), Error> {
    edit(session, store, |record| record.needs_sync.clone_from(partitions)).await
}

async fn edit(session: &dyn Session, store: StoreId, edit: impl Fn(&mut TransferRecord)) -> Result<(), Error> {
    let path = paths::transfers(store)?;
    let mut attempts = Attempts::at(paths::TRANSFERS);
    loop {
        attempts.another()?;
        let before = access::read::<TransferRecord>(session, &path).await?;
        let mut record = before.as_ref().map(|before| before.value.clone()).unwrap_or_default();
        edit(&mut record);
        let change = match &before {
            Some(before) if before.value == record => return Ok(()),
            Some(before) => access::set(path.clone(), &record, &before.stat)?,
            None if record == TransferRecord::default() => return Ok(()),
            None => access::create(path.clone(), &record, CreateMode::Persistent)?,
        };
        if access::write(session, vec![change]).await? == Written::Yes {
            return Ok(());
        }
    }
}
