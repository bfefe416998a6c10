//! The conformance suite on real files, and what is particular to this engine.

use std::sync::Arc;

use super::*;
use crate::storage::conformance;

struct Directory(tempfile::TempDir);

impl conformance::Opener for Directory {
    fn fresh() -> Self {
        Directory(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Arc<dyn Engine> {
        Arc::new(open(self.0.path()))
    }
}

conformance::suite!(Directory);

fn open(path: &Path) -> FjallEngine {
    FjallEngine::open(path, &Settings { cache_bytes: 1 << 20, reserve_bytes: 0 }).unwrap()
}

#[test]
fn a_fresh_store_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(engine.disk_bytes() < 1 << 20, "{}", engine.disk_bytes());
}

#[test]
fn refuses_writes_below_the_reserve_and_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut batch = Batch::default();
    batch.put(Space::Objects, &b"key"[..], &b"value"[..]);
    open(dir.path()).apply(batch.clone()).unwrap();

    let engine = FjallEngine::open(dir.path(), &Settings { reserve_bytes: u64::MAX, ..Settings::default() }).unwrap();
    let error = engine.apply(batch).unwrap_err();
    assert!(matches!(error, StorageError::DiskFull { .. }) && !error.needs_reopen(), "{error}");
    assert_eq!(engine.get(Space::Objects, b"key").unwrap().unwrap(), "value");
}

#[test]
fn a_second_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _held = open(dir.path());
    assert!(matches!(FjallEngine::open(dir.path(), &Settings::default()), Err(StorageError::Held { .. })));
}

#[test]
fn a_newer_or_unknown_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let refused = || FjallEngine::open(dir.path(), &Settings::default()).err().unwrap();
    fs::write(dir.path().join(VERSION_FILE), b"FJL\x04").unwrap();
    assert!(matches!(refused(), StorageError::NewerFormat { found: 4, .. }));
    fs::write(dir.path().join(VERSION_FILE), b"FJL").unwrap();
    assert!(matches!(refused(), StorageError::Corrupt { .. }));
    fs::remove_file(dir.path().join(VERSION_FILE)).unwrap();
    assert!(matches!(refused(), StorageError::Corrupt { .. }));
    fs::write(dir.path().join(VERSION_FILE), b"FJL\x03").unwrap();
    open(dir.path());
}

/// Tables can no longer be written: the writer is told, and does not wait for ever.
#[test]
fn a_failure_in_the_background_poisons() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    for space in 1..=Space::ALL.len() {
        fs::remove_dir_all(dir.path().join(format!("keyspaces/{space}/tables"))).unwrap();
    }
    let mut batch = Batch::default();
    batch.put(Space::Objects, &b"key"[..], &b"value"[..]);
    let error = (0..10_000)
        .find_map(|_| {
            let applied = engine.apply(batch.clone());
            engine.spaces[Space::Objects as usize].rotate_memtable().unwrap();
            applied.err()
        })
        .unwrap();
    assert!(error.needs_reopen(), "{error}");
    assert!(engine.sync().unwrap_err().needs_reopen());
    assert_eq!(engine.get(Space::Objects, b"key").unwrap().unwrap(), "value", "reads go on");
}
