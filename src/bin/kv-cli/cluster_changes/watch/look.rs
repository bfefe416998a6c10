//! One look at a change.

use std::time::{Duration, Instant};

use kv::wire::change::{ChangeReport, StoreProgress};
use serde_json::{Value, json};

use super::pace::Pace;
use super::transfers::{self, Transfers};
use crate::cluster_changes::ask::Changes;
use crate::cluster_changes::names::Names;
use crate::cluster_changes::waits;
use crate::exit::CliError;

/// What is to be seen of a change at one moment.
pub struct Look {
    /// What the nodes say.
    pub change: ChangeReport,
    /// What partitions wait for.
    pub waits: Vec<String>,
    /// What the nodes copy and hand over.
    pub transfers: Transfers,
    /// How long it takes from now on, if it goes on as it did.
    pub left: Option<Duration>,
}

/// Looks; `None` if there never was a change.
pub async fn look(changes: &Changes, pace: &mut Pace) -> Result<Option<Look>, CliError> {
    let Some(change) = changes.progress().await? else { return Ok(None) };
    let names = Names::of(&changes.client.ring().ring, Some(&change));
    let (done, all) = steps(&change.stores);
    pace.saw(Instant::now(), change.number, change.direction, done);
    let left = pace.left(all.saturating_sub(done));
    let taking_part = change.stores.iter().filter(|store| store.is_live && change.ended_ms.is_none());
    let transfers = transfers::ask(&changes.client, taking_part.map(|store| store.node)).await;
    let mut waits = waits::lines(&change.waiting, change.waiting_left_off, &names);
    waits.extend(transfers.iter().flat_map(|(node, report)| transfers::reasons(*node, report)));
    Ok(Some(Look { change, waits, transfers, left }))
}

/// What stores have to do, in partitions: how much of it is done, and how much it is in all.
fn steps(stores: &[StoreProgress]) -> (u64, u64) {
    let each = stores.iter().flat_map(|store| [store.arrived, store.drained]);
    each.fold((0, 0), |(done, all), (d, a)| (done + u64::from(d), all + u64::from(a)))
}

impl Look {
    /// For programs.
    pub fn as_json(&self) -> Value {
        let mut document = json!(self.change);
        document["epoch"] = json!(self.change.epoch.to_string());
        document["transfers"] = self.transfers.iter().map(|(node, report)| (node.to_string(), json!(report))).collect();
        document["reasons"] = json!(self.waits);
        document["left_ms"] = json!(self.left.map(|left| left.as_millis() as u64));
        document
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::transfers::tests::copying;
    use super::*;
    use crate::cluster_changes::brief::tests::joining;
    use kv::core::id::NodeId;

    /// Half of it is done.
    pub fn half() -> Look {
        let waits = vec!["partition 7 waits for node 4 to hold a whole copy".into()];
        let transfers = [(NodeId(4), copying())].into();
        Look { change: joining(), waits, transfers, left: Some(Duration::from_secs(75)) }
    }

    #[test]
    fn steps_are_those_of_all_stores() {
        assert_eq!(steps(&joining().stores), (18, 32));
    }

    #[test]
    fn programs_see_the_same() {
        let document = half().as_json();
        assert_eq!((&document["number"], &document["phases"]["done"]), (&json!(3), &json!(8)));
        assert_eq!((&document["left_ms"], &document["epoch"]), (&json!(75_000), &json!("0.9")));
        assert_eq!(document["transfers"]["4"]["arriving"].as_array().unwrap().len(), 3);
        assert_eq!(document["reasons"].as_array().unwrap().len(), 1);
    }
}
