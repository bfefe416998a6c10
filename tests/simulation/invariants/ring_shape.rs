//! The ring is sound at every epoch, and moves in steps.
//!
//! - There is one ring for each epoch, and within one start no node goes back to an older one.
//! - Each partition has distinct owners, on both sides while it changes hands, as many as the ring wants, or as before where there were
//!   fewer members than that. Whoever is on both sides has the same place on both.
//! - What differs between two epochs has the younger one as its `since`. A partition goes from rest to *pending* with the same owners, from
//!   there to *switched* with the sides exchanged, or back, or, when somebody who was to arrive is lost, to others; from *switched* to rest
//!   with the same owners. No store that is an owner drains.
//!
//! That steps wait for what they must wait for is not seen here: what comes of it if they do not is found by the other invariants.

use std::collections::{BTreeMap, BTreeSet};

use kv::core::id::{Epoch, Partition, StoreId};
use kv::core::ring::{Motion, Ring, Slice};

use super::Finding;
use super::timeline::{Place, Timeline};
use crate::history::What;

/// Every ring that a node worked by.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rings: BTreeMap<Epoch, (Place, &Ring)> = BTreeMap::new();
    let mut latest: BTreeMap<StoreId, (Place, Epoch)> = BTreeMap::new();
    for (place, event) in timeline.history.events().iter().enumerate() {
        match &event.what {
            What::Started { store } => drop(latest.remove(store)),
            What::Published { store, ring } => {
                if let Some((before, epoch)) = latest.insert(*store, (place, ring.epoch))
                    && epoch >= ring.epoch
                {
                    let what = format!("it went from ring {epoch} to ring {}", ring.epoch);
                    findings.push(Finding { about: format!("{store:?}"), what, events: vec![before, place] });
                }
                let (first, known) = *rings.entry(ring.epoch).or_insert((place, ring));
                if *known != **ring {
                    let what = "there are two rings of this epoch".to_string();
                    findings.push(Finding { about: format!("ring {}", ring.epoch), what, events: vec![first, place] });
                }
            }
            _ => {}
        }
    }
    let mut before: Option<(Place, &Ring)> = None;
    for (place, ring) in rings.into_values() {
        let fewest = before.map_or(1, |(_, ring)| fewest_owners(ring)).min(ring.replication.into());
        for partition in partitions(ring) {
            let slice = ring.slice(partition);
            let step = before.filter(|(_, before)| before.partitions() == ring.partitions());
            let wrong = misshapen(&slice, fewest)
                .or_else(|| step.and_then(|(_, before)| misstep(before, ring, partition)))
                .map(|wrong| format!("partition {partition} {wrong}"));
            if let Some(what) = wrong {
                let events = before.into_iter().map(|(place, _)| place).chain([place]).collect();
                findings.push(Finding { about: format!("ring {}", ring.epoch), what, events });
            }
        }
        before = Some((place, ring));
    }
    findings
}

fn partitions(ring: &Ring) -> impl Iterator<Item = Partition> + use<> {
    (0..ring.partitions()).map(|p| Partition(p as u16))
}

fn fewest_owners(ring: &Ring) -> usize {
    let sides = |slice: Slice| slice.motion.map_or(usize::MAX, |motion| motion.others().len()).min(slice.owners.len());
    partitions(ring).map(|partition| sides(ring.slice(partition))).min().unwrap_or(0)
}

/// What is wrong with a partition at one epoch.
fn misshapen(slice: &Slice, fewest: usize) -> Option<String> {
    let Slice { owners, motion, draining, .. } = slice;
    let others = motion.as_ref().map(Motion::others);
    for side in [&owners[..]].into_iter().chain(others) {
        if side.iter().collect::<BTreeSet<_>>().len() < side.len() {
            return Some(format!("has an owner twice: {side:?}"));
        }
        if side.len() < fewest {
            return Some(format!("has {} owners, and should have {fewest}: {side:?}", side.len()));
        }
        if let Some(store) = side.iter().find(|store| draining.contains(store)) {
            return Some(format!("is to be drained by {store:?}, an owner"));
        }
    }
    let others = others.filter(|others| others.len() == owners.len())?;
    let place = |side: &[StoreId], store: &StoreId| side.iter().position(|other| other == store);
    let moved =
        owners.iter().find(|store| place(others, store).is_some_and(|there| place(owners, store) != Some(there)));
    moved.map(|store| format!("gives {store:?}, which stays, another place: {owners:?} and {others:?}"))
}

/// What is wrong with the way of a partition from one epoch to a later one.
fn misstep(before: &Ring, after: &Ring, partition: Partition) -> Option<String> {
    let (old, new) = (before.slice(partition), after.slice(partition));
    if (&old.owners, &old.motion) == (&new.owners, &new.motion) {
        return (old.since != new.since).then(|| format!("is as it was, and is said to have changed at {}", new.since));
    }
    if new.since <= before.epoch || new.since > after.epoch {
        return Some(format!("changed after ring {}, and is said to have changed at {}", before.epoch, new.since));
    }
    // Of what lies between, nobody has seen anything.
    if after.epoch != (Epoch { counter: before.epoch.counter + 1, ..before.epoch }) {
        return None;
    }
    let is_step = match (&old.motion, &new.motion) {
        (None | Some(Motion::Pending(_)), Some(Motion::Pending(_))) | (Some(_), None) => old.owners == new.owners,
        (Some(Motion::Pending(others)), Some(Motion::Switched(departing))) => {
            (others, departing) == (&new.owners, &old.owners)
        }
        _ => false,
    };
    (!is_step).then(|| format!("goes from {old:?} to {new:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, ring, store};
    use super::*;

    const NAME: &str = "ring shape";

    fn at(since: u64, owners: &[u16], motion: Option<Motion<u16>>) -> Slice<u16> {
        Slice { motion, since: Epoch { generation: 0, counter: since }, ..Slice::at_rest(owners.to_vec()) }
    }

    fn pending(others: &[u16]) -> Option<Motion<u16>> {
        Some(Motion::Pending(others.to_vec()))
    }

    fn switched(others: &[u16]) -> Option<Motion<u16>> {
        Some(Motion::Switched(others.to_vec()))
    }

    /// What is found in the rings that follow the first one, epoch by epoch.
    fn told(slices: &[Slice<u16>]) -> Vec<String> {
        let mut sketch = Sketch::new();
        slices.iter().enumerate().for_each(|(i, slice)| sketch.published(1, i as u64 + 1, slice.clone()));
        sketch.findings(NAME)
    }

    const OLD: [u16; 3] = [1, 2, 3];
    const NEW: [u16; 3] = [1, 4, 3];

    #[test]
    fn a_change_passes_and_so_does_one_that_is_turned_back_or_redirected() {
        let mut drained = at(3, &NEW, None);
        drained.draining = vec![2];
        assert!(
            told(&[at(1, &OLD, pending(&NEW)), at(2, &NEW, switched(&OLD)), drained, at(3, &NEW, None)]).is_empty()
        );
        assert!(told(&[at(1, &OLD, pending(&NEW)), at(2, &OLD, None)]).is_empty());
        assert!(told(&[at(1, &OLD, pending(&NEW)), at(2, &OLD, pending(&[1, 5, 3]))]).is_empty());
    }

    #[test]
    fn each_side_has_distinct_owners_and_enough() {
        for (motion, owners) in [(None, [1, 2].as_slice()), (pending(&[4, 5]), &OLD)] {
            let found = told(&[at(1, owners, motion)]);
            assert!(found[0].starts_with("partition 0 has 2 owners, and should have 3"), "{found:?}");
        }
        let mut draining = at(1, &OLD, pending(&NEW));
        draining.draining = vec![4];
        assert_eq!(told(&[draining]), ["partition 0 is to be drained by s00000004, an owner"]);
    }

    #[test]
    fn survivors_keep_their_places() {
        let found = told(&[at(1, &OLD, pending(&[3, 4, 1]))]);
        assert!(found[0].starts_with("partition 0 gives s00000001, which stays, another place"), "{found:?}");
    }

    #[test]
    fn no_step_is_left_out() {
        for steps in [
            &[at(1, &NEW, None)][..],
            &[at(1, &NEW, switched(&OLD))],
            &[at(1, &OLD, pending(&NEW)), at(2, &NEW, None)],
            &[at(1, &OLD, pending(&NEW)), at(2, &NEW, pending(&[5, 2, 3]))],
            &[at(1, &OLD, pending(&NEW)), at(2, &NEW, switched(&OLD)), at(3, &OLD, pending(&NEW))],
        ] {
            let found = told(steps);
            assert!(found.len() == 1 && found[0].starts_with("partition 0 goes from"), "{found:?}");
        }
    }

    #[test]
    fn ages_are_true() {
        let found = told(&[at(0, &OLD, pending(&NEW))]);
        assert_eq!(found, ["partition 0 changed after ring 0.0, and is said to have changed at 0.0"]);
        assert_eq!(told(&[at(1, &OLD, None)]), ["partition 0 is as it was, and is said to have changed at 0.1"]);
    }

    #[test]
    fn epochs_rise_until_a_node_starts_again() {
        let mut sketch = Sketch::new();
        sketch.published(1, 2, Slice::at_rest(OLD.to_vec()));
        sketch.published(2, 1, Slice::at_rest(OLD.to_vec()));
        assert!(sketch.findings(NAME).is_empty(), "another node may be behind");
        sketch.record(What::Started { store: store(1) });
        sketch.published(1, 1, Slice::at_rest(OLD.to_vec()));
        assert!(sketch.findings(NAME).is_empty());
        sketch.published(1, 1, Slice::at_rest(OLD.to_vec()));
        sketch.published(1, 0, Slice::at_rest(OLD.to_vec()));
        assert_eq!(sketch.findings(NAME), ["it went from ring 0.1 to ring 0.1", "it went from ring 0.1 to ring 0.0"]);
    }

    #[test]
    fn an_epoch_names_one_ring() {
        let mut sketch = Sketch::new();
        sketch.record(What::Published { store: store(2), ring: ring(0, at(0, &NEW, None)) });
        assert_eq!(sketch.findings(NAME), ["there are two rings of this epoch"]);
    }
}
