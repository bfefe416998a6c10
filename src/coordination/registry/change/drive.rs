//! Making the write that is due.

use crate::coordination::api::Session;
use crate::coordination::tree::{Change, Path, Stat};
use crate::core::id::Partition;
use crate::core::ring::change::Step;

use super::super::access::{self, Written};
use super::super::error::Error;
use super::super::paths;
use super::super::view::{Versions, read_with_versions};
use super::commit::written;
use super::next::{Next, Settings, next};

/// What came of one attempt to drive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Driven {
    /// Nothing was due.
    Nothing,
    /// Something was written; more may be due.
    Wrote,
    /// Somebody else was quicker, or the outcome is unknown: read again.
    ReadAgain,
}

/// Makes the one write that is due, under the versions of all that it was decided on. Any live node may call it, at any time.
///
/// # Errors
/// Those of the service.
pub async fn advance_once(session: &dyn Session, settings: &Settings, now_ms: u64) -> Result<Driven, Error> {
    session.sync().await?;
    let (view, versions) = read_with_versions(session).await?;
    let Some(next) = next(&view, settings, now_ms) else { return Ok(Driven::Nothing) };
    let written = access::write(session, changes(&next, &versions)?).await?;
    if written == Written::ReadAgain {
        return Ok(Driven::ReadAgain);
    }
    tell(&next);
    Ok(Driven::Wrote)
}

/// The write, with its conditions.
fn changes(next: &Next, versions: &Versions) -> Result<Vec<Change>, Error> {
    let ring_path = paths::path(paths::RING)?;
    let check = |path: Path, stat: &Stat| Change::Check { path, expected: Some(stat.version) };
    let mut changes = vec![];
    match next {
        Next::Down(stores) => {
            for (store, record) in stores {
                if let Some(stat) = versions.stores.get(store) {
                    changes.push(access::set(paths::store(*store)?, record, stat)?);
                }
            }
        }
        Next::Ring { ring, said, .. } => {
            changes.push(access::set(ring_path, ring, &versions.ring)?);
            if let Some(stat) = &versions.change {
                changes.push(check(paths::path(paths::CHANGE)?, stat));
            }
            for store in said {
                if let Some(stat) = versions.transfers.get(store) {
                    changes.push(check(paths::transfers(*store)?, stat));
                }
            }
        }
        Next::End { ring, change, stores, cluster } => {
            changes.push(access::set(ring_path, ring, &versions.ring)?);
            changes.push(written(change, versions)?);
            if let Some(cluster) = cluster {
                changes.push(access::set(paths::path(paths::CLUSTER)?, cluster, &versions.cluster)?);
            }
            for (store, record) in stores {
                if let Some(stat) = versions.stores.get(store) {
                    changes.push(access::set(paths::store(*store)?, record, stat)?);
                }
            }
        }
        Next::Begin { change, stores } => {
            changes.push(written(change, versions)?);
            changes.push(check(ring_path, &versions.ring));
            for store in stores {
                if let Some(stat) = versions.stores.get(store) {
                    changes.push(check(paths::store(*store)?, stat));
                }
            }
        }
        Next::Tidy(transfers) => {
            for (store, kept) in transfers {
                let Some(stat) = versions.transfers.get(store) else { continue };
                let path = paths::transfers(*store)?;
                changes.push(match kept {
                    Some(kept) => access::set(path, kept, stat)?,
                    None => Change::Delete { path, expected: Some(stat.version) },
                });
            }
        }
    }
    Ok(changes)
}

fn tell(next: &Next) {
    match next {
        Next::Down(stores) => {
            for (store, record) in stores {
                let news = if record.down_since_ms.is_some() { "holds no session" } else { "is back" };
                log::info!("node {} with store {store} {news}", record.node);
            }
        }
        Next::Ring { ring, steps, .. } => log::info!("ring {}: {}", ring.epoch, summary(steps)),
        Next::End { ring, change, .. } => log::info!("change {} has ended at ring {}", change.number, ring.epoch),
        Next::Begin { change, .. } => {
            let actions: Vec<String> = change.actions.iter().map(ToString::to_string).collect();
            log::warn!("change {} begins without an operator: {}", change.number, actions.join(", "));
        }
        Next::Tidy(_) => {}
    }
}

/// How many partitions took which step.
fn summary(steps: &[(Partition, Step)]) -> String {
    let count = |is: fn(&Step) -> bool, what: &str| {
        let count = steps.iter().filter(|(_, step)| is(step)).count();
        (count > 0).then(|| format!("{count} {what}"))
    };
    let counts = [
        count(|step| *step == Step::Pending, "pending"),
        count(|step| *step == Step::Switched, "switched"),
        count(|step| *step == Step::Retired, "at rest"),
        count(|step| *step == Step::TurnedBack, "turned back"),
        count(|step| matches!(step, Step::Drained(_)), "drained"),
    ];
    let told: Vec<String> = counts.into_iter().flatten().collect();
    if told.is_empty() { "members on new terms".into() } else { format!("partitions {}", told.join(", ")) }
}
