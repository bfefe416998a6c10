//! Finding what this store holds and does not own.
//!
//! A store that leaves a partition is named in the ring as draining, and delivers and drops what it holds of it. But there may be more:
//! of a node that was absent while others took over its partitions, of a drain that was cut short by a crash, of an operator's
//! experiment. So a [`Sweep`] goes slowly round all partitions that this store has no place in, and looks whether there is a first
//! key. Copies that are kept for an owner by a hint are not meant: they go when their target has them.
//!
//! What is found drains as what is named does ([`crate::core::transfer::Drain`]), executed by [`super::transfer`]: nothing is dropped that
//! not every owner holds or covers.

use std::time::Duration;

use bytes::Bytes;

use super::replica::HintGauge;
use crate::core::hint;
use crate::core::id::{Partition, StoreId};
use crate::core::ring::Ring;
use crate::storage::{Engine, Space, StorageError};

/// Keys read at once of a partition.
const SCAN: usize = 64;
/// If so many keys in a row are kept for others, the rest is not looked at one by one: the drain does that.
const KEYS_MAX: usize = 512;

/// Goes round all partitions.
#[derive(Debug)]
pub struct Sweep {
    round: Duration,
    next: u32,
}

impl Sweep {
    /// Goes round once in `round`.
    pub fn new(round: Duration) -> Sweep {
        Sweep { round, next: 0 }
    }

    /// Looks at as many partitions as are due after `since_last`, and returns those of which `own` holds something and has no
    /// place.
    pub fn look(
        &mut self,
        since_last: Duration,
        ring: &Ring,
        own: StoreId,
        engine: &dyn Engine,
        hints: &HintGauge,
    ) -> Vec<Partition> {
        let all = ring.partitions();
        let part = since_last.as_millis().saturating_mul(all.into()).div_ceil(self.round.as_millis().max(1));
        let due = u32::try_from(part).unwrap_or(all).min(all);
        let targets = hints.targets();
        let mut found = vec![];
        for _ in 0..due {
            let partition = Partition((self.next % all) as u16);
            self.next = (self.next + 1) % all;
            if ring.owns(own, partition, u8::MAX) {
                continue;
            }
            match holds_unhinted(engine, partition, &targets) {
                Ok(true) => found.push(partition),
                Ok(false) => {}
                Err(error) => log::warn!("cannot look for what is left of partition {partition}: {error}"),
            }
        }
        found
    }
}

/// Whether a partition has a key that is kept for nobody.
fn holds_unhinted(engine: &dyn Engine, partition: Partition, targets: &[StoreId]) -> Result<bool, StorageError> {
    let (mut after, mut seen): (Option<Bytes>, usize) = (None, 0);
    loop {
        let keys = engine.scan(Space::Objects, &partition.0.to_be_bytes(), after.as_deref(), SCAN)?;
        for (stored, _) in &keys {
            if !is_hinted(engine, stored, targets)? {
                return Ok(true);
            }
        }
        seen += keys.len();
        match keys.last() {
            Some((last, _)) if keys.len() == SCAN && seen < KEYS_MAX => after = Some(last.clone()),
            last => return Ok(last.is_some() && keys.len() == SCAN),
        }
    }
}

/// Whether a key is kept for one of these.
pub(super) fn is_hinted(engine: &dyn Engine, stored: &[u8], targets: &[StoreId]) -> Result<bool, StorageError> {
    for target in targets {
        if engine.get(Space::Hints, &hint::stored(*target, stored))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::hint::Budget;
    use crate::core::id::{Epoch, NodeId};
    use crate::core::key::Key;
    use crate::core::ring::{Member, Slice};
    use crate::storage::Batch;
    use crate::storage::memory::MemoryDisk;

    const OWN: StoreId = StoreId(9);
    const OTHER: StoreId = StoreId(1);

    fn ring() -> Ring {
        let member = |store: StoreId| Member {
            store,
            node: NodeId(store.0 as u32),
            address: format!("node{}:8000", store.0),
            zone: "default".into(),
            weight: 1,
        };
        let slices: Vec<Slice<u16>> = (0..8).map(|i| Slice::at_rest(vec![if i == 3 { 1 } else { 0 }])).collect();
        Ring::of(Epoch::default(), 1, vec![member(OTHER), member(OWN)], &slices).expect("a ring")
    }

    fn found(kept: &[(u16, &'static str)], hinted: &[(u16, &'static str)]) -> Vec<u16> {
        let engine = MemoryDisk::new().open();
        let stored = |(partition, name): &(u16, &'static str)| Key::bare(*name).stored(Partition(*partition));
        let mut batch = Batch::default();
        for key in kept.iter().chain(hinted) {
            batch.put(Space::Objects, stored(key), Bytes::from_static(b"record"));
        }
        hinted.iter().for_each(|key| batch.put(Space::Hints, hint::stored(OTHER, &stored(key)), Bytes::new()));
        engine.apply(batch).expect("applied");
        let gauge = HintGauge::count(&engine, Budget::UNBOUNDED).expect("counted");
        let mut sweep = Sweep::new(Duration::from_secs(4));
        // Two of the eight partitions each second.
        let mut look = || sweep.look(Duration::from_secs(1), &ring(), OWN, &engine, &gauge);
        let round: Vec<Vec<Partition>> = (0..4).map(|_| look()).collect();
        assert!(round.iter().all(|found| found.len() <= 2));
        round.concat().into_iter().map(|partition| partition.0).collect()
    }

    #[test]
    fn it_finds_what_has_no_place_and_waits_for_nobody() {
        assert!(found(&[], &[]).is_empty());
        assert_eq!(found(&[(0, "a"), (3, "owned"), (6, "b")], &[(5, "c")]), [0, 6]);
        assert_eq!(found(&[(5, "b")], &[(5, "a"), (5, "c")]), [5]);
    }
}
