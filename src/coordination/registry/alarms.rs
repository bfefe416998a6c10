//! Alarms: what an operator has to know of.

use crate::coordination::api::{self, Session};
use crate::coordination::tree::{CreateMode, Refusal};
use crate::core::id::StoreId;

use super::access::{self, Attempts, Written};
use super::error::Error;
use super::paths;
use super::records::Alarm;

/// Raises an alarm about a store, in the place of an earlier one. The same one again changes nothing, however often the copy calls.
///
/// # Errors
/// Those of the service.
pub async fn raise(session: &dyn Session, store: StoreId, alarm: Alarm) -> Result<(), Error> {
    let path = paths::alarm(store)?;
    let mut attempts = Attempts::at(paths::ALARMS);
    loop {
        attempts.another()?;
        let change = match access::read::<Alarm>(session, &path).await? {
            Some(raised) if (Alarm { since_ms: alarm.since_ms, ..raised.value.clone() }) == alarm => return Ok(()),
            Some(raised) => access::set(path.clone(), &alarm, &raised.stat)?,
            None => access::create(path.clone(), &alarm, CreateMode::Persistent)?,
        };
        if access::write(session, vec![change]).await? == Written::Yes {
            log::warn!("a copy of store {store} of node {} called from {} and is refused", alarm.node, alarm.address);
            return Ok(());
        }
    }
}

/// Takes back the alarm about a store, once an operator has seen to it. One that is not there is no harm.
///
/// # Errors
/// Those of the service.
pub async fn dismiss(session: &dyn Session, store: StoreId) -> Result<(), Error> {
    match session.delete(&paths::alarm(store)?, None).await {
        Ok(()) | Err(api::Error::Refused(Refusal::NoNode { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
