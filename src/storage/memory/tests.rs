//! The conformance suite, and what a crash, a power loss and a bad disk leave.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::storage::conformance;

impl conformance::Opener for MemoryDisk {
    fn fresh() -> Self {
        MemoryDisk::new()
    }

    fn open(&self) -> Arc<dyn Engine> {
        Arc::new(MemoryDisk::open(self))
    }
}

conformance::suite!(MemoryDisk);

fn put(engine: &MemoryEngine, key: u8, value: u8) -> Result<(), StorageError> {
    let mut batch = Batch::default();
    batch.put(Space::Objects, vec![key], vec![value]);
    batch.put(Space::Meta, &b"last"[..], vec![key]);
    engine.apply(batch)
}

fn values(engine: &MemoryEngine) -> Vec<(u8, u8)> {
    engine.scan(Space::Objects, b"", None, 1000).unwrap().iter().map(|(key, value)| (key[0], value[0])).collect()
}

#[test]
fn a_crash_keeps_what_was_applied() {
    let disk = MemoryDisk::new();
    let engine = disk.open();
    put(&engine, 1, 1).unwrap();
    disk.crash();
    assert_eq!(values(&disk.open()), [(1, 1)]);
}

#[test]
fn a_power_loss_after_a_crash_takes_what_no_one_synced() {
    let disk = MemoryDisk::new();
    put(&disk.open(), 1, 1).unwrap();
    disk.crash();
    let lost = (0..20).any(|seed| {
        let disk = MemoryDisk::new();
        put(&disk.open(), 1, 1).unwrap();
        disk.crash();
        disk.power_loss(&mut SmallRng::seed_from_u64(seed));
        values(&disk.open()).is_empty()
    });
    assert!(lost);
}

/// Over many seeds: exactly the prefixes are left, each of them sometimes, and never half a batch.
#[test]
fn a_power_loss_leaves_a_prefix_of_the_unsynced_batches() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        put(&engine, 0, 100).unwrap();
        put(&engine, 1, 100).unwrap();
        engine.sync().unwrap();
        for key in [1, 2, 3, 1] {
            put(&engine, key, key + 10).unwrap();
        }
        assert_eq!(disk.unsynced_batches(), 4);
        disk.power_loss(&mut SmallRng::seed_from_u64(seed));

        let engine = disk.open();
        let left = values(&engine);
        let prefixes: [&[(u8, u8)]; 5] = [
            &[(0, 100), (1, 100)],
            &[(0, 100), (1, 11)],
            &[(0, 100), (1, 11), (2, 12)],
            &[(0, 100), (1, 11), (2, 12), (3, 13)],
            &[(0, 100), (1, 11), (2, 12), (3, 13)],
        ];
        let last = engine.get(Space::Meta, b"last").unwrap().unwrap()[0];
        let kept = (0..5).find(|kept| prefixes[*kept] == left && [1, 1, 2, 3, 1][*kept] == last);
        lengths.insert(kept.unwrap_or_else(|| panic!("no prefix: {left:?}, last {last}")));
    }
    assert_eq!(lengths.len(), 5);
}

#[test]
fn the_same_seed_loses_the_same() {
    let run = |seed| {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        (0..50).for_each(|key| put(&engine, key, key).unwrap());
        disk.power_loss(&mut SmallRng::seed_from_u64(seed));
        disk.snapshot()
    };
    assert_eq!(run(7), run(7));
    assert!((0..10).any(|seed| run(seed) != run(7)));
}

#[test]
fn what_was_recovered_is_durable() {
    let disk = MemoryDisk::new();
    put(&disk.open(), 1, 1).unwrap();
    disk.crash();
    disk.open();
    for seed in 0..20 {
        disk.power_loss(&mut SmallRng::seed_from_u64(seed));
        assert_eq!(values(&disk.open()), [(1, 1)]);
    }
}

#[test]
fn old_handles_do_nothing_more() {
    let ends: [fn(&MemoryDisk); 5] = [
        MemoryDisk::crash,
        |disk| disk.power_loss(&mut SmallRng::seed_from_u64(1)),
        MemoryDisk::wipe,
        |disk| disk.restore(&disk.snapshot()),
        |disk| drop(disk.open()),
    ];
    for end in ends {
        let disk = MemoryDisk::new();
        let old = disk.open();
        end(&disk);
        assert!(matches!(put(&old, 1, 1), Err(StorageError::Closed)));
        assert!(matches!(old.sync(), Err(StorageError::Closed)));
        assert!(matches!(old.get(Space::Objects, b"x"), Err(StorageError::Closed)));
        assert!(matches!(old.scan(Space::Objects, b"", None, 1), Err(StorageError::Closed)));
        assert!(values(&disk.open()).is_empty());
    }
}

#[test]
fn rolls_back_to_what_was_durable() {
    let disk = MemoryDisk::new();
    let engine = disk.open();
    put(&engine, 1, 1).unwrap();
    engine.sync().unwrap();
    put(&engine, 1, 2).unwrap();
    let snapshot = disk.snapshot();
    assert_eq!(values(&engine), [(1, 2)], "a snapshot changes nothing");
    engine.sync().unwrap();
    disk.restore(&snapshot);
    assert_eq!(values(&disk.open()), [(1, 1)]);
    disk.wipe();
    assert!(values(&disk.open()).is_empty());
}

#[test]
fn a_failed_sync_poisons_until_it_is_opened_again() {
    let disk = MemoryDisk::new();
    let engine = disk.open();
    put(&engine, 1, 1).unwrap();
    disk.fail_next_sync();
    assert!(engine.sync().unwrap_err().needs_reopen());
    assert!(engine.sync().unwrap_err().needs_reopen());
    assert!(put(&engine, 2, 2).unwrap_err().needs_reopen());
    assert_eq!(values(&engine), [(1, 1)], "reads go on");
    let engine = disk.open();
    put(&engine, 2, 2).unwrap();
    engine.sync().unwrap();
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let disk = MemoryDisk::new();
    let engine = disk.open();
    disk.set_full(true);
    let error = put(&engine, 1, 1).unwrap_err();
    assert!(error.is_surely_unapplied() && !error.needs_reopen(), "{error}");
    assert!(values(&engine).is_empty());
    disk.set_full(false);
    put(&engine, 1, 1).unwrap();
}
