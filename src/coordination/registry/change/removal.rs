//! When a node that is down is taken to be gone.

use crate::coordination::api::Session;

use super::super::access::{self, Attempts, Written};
use super::super::error::Error;
use super::super::paths;
use super::super::records::ClusterRecord;

/// Sets after how many milliseconds that is; `None` leaves it to operators.
///
/// # Errors
/// Those of the service.
pub async fn set_auto_remove_after(session: &dyn Session, after_ms: Option<u64>) -> Result<(), Error> {
    let path = paths::path(paths::CLUSTER)?;
    let mut attempts = Attempts::at(paths::CLUSTER);
    session.sync().await?;
    loop {
        attempts.another()?;
        let cluster = access::read::<ClusterRecord>(session, &path).await?.ok_or(Error::NotFounded)?;
        if cluster.value.auto_remove_after_ms == after_ms {
            return Ok(());
        }
        let new = ClusterRecord { auto_remove_after_ms: after_ms, ..cluster.value };
        if access::write(session, vec![access::set(path.clone(), &new, &cluster.stat)?]).await? == Written::Yes {
            return Ok(());
        }
    }
}
