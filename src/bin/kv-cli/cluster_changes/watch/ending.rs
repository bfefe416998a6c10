//! How a change ended.

use kv::core::ring::change::Direction;
use kv::wire::change::ChangeReport;

use crate::cluster_changes::brief;
use crate::exit::Exit;
use crate::table::millis;

/// What to say at the end, and how the command ends.
pub struct Ending {
    /// For people.
    pub told: String,
    /// For scripts.
    pub exit: Exit,
}

/// The end of the change that was watched, if this shows it.
pub fn ending(watched: Option<u64>, change: &ChangeReport) -> Option<Ending> {
    if let Some(watched) = watched.filter(|watched| *watched != change.number) {
        let told = format!("change {watched} has ended, in whichever way; now it is {}", brief::told(change));
        return Some(Ending { told, exit: Exit::OutcomeUnknown });
    }
    let ended_ms = change.ended_ms?;
    let took = millis(ended_ms.saturating_sub(change.committed_ms));
    let (what, exit) = match change.direction {
        Direction::Forward => ("is done", Exit::Done),
        Direction::TurningBack => ("was turned back", Exit::QuorumNotMet),
    };
    let (number, actions) = (change.number, brief::actions(&change.actions));
    let partitions = brief::total(&change.phases);
    let told = format!(
        "change {number} ({actions}) {what}: {partitions} partitions in {took}, at ring epoch {}",
        change.epoch
    );
    Some(Ending { told, exit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_changes::brief::tests::joining;

    #[test]
    fn how_it_ended_is_told_by_words_and_by_code() {
        let mut change = joining();
        assert!(ending(Some(3), &change).is_none() && ending(None, &change).is_none());
        change.ended_ms = Some(66_000);
        let done = ending(Some(3), &change).unwrap();
        assert_eq!(done.told, "change 3 (node 4 joins) is done: 16 partitions in 1m 5s, at ring epoch 0.9");
        assert_eq!(done.exit, Exit::Done);
        change.direction = Direction::TurningBack;
        let back = ending(None, &change).unwrap();
        assert!(back.told.contains("was turned back") && back.exit == Exit::QuorumNotMet, "{}", back.told);
    }

    #[test]
    fn a_change_that_followed_unseen_says_so() {
        let unseen = ending(Some(2), &joining()).unwrap();
        assert!(unseen.told.starts_with("change 2 has ended") && unseen.exit == Exit::OutcomeUnknown);
    }
}
