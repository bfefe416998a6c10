//! What every home must do, on a disk and in memory, and what is a disk's alone.

use std::path::Path;

use redb::ReadableTable as _;

use super::disk::DiskHome;
use super::memory::MemoryDirectory;
use super::*;
use crate::core::id::{ClusterId, NodeId};
use crate::storage::fjall::Settings;
use crate::storage::{Batch, Space};

const TABLE: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("t");

fn open_at(path: &Path) -> Result<Box<dyn Home>, StorageError> {
    let settings = Settings { reserve_bytes: 0, ..Settings::default() };
    Ok(Box::new(DiskHome::open(path, None, None, settings, StoreId(1))?))
}

/// Runs a test on a place of each kind, which it is given a way to open.
fn on_each(test: impl Fn(&dyn Fn() -> Box<dyn Home>)) {
    let memory = MemoryDirectory::new(Default::default(), Arc::new(Kept::default()));
    test(&|| Box::new(memory.open(StoreId(1))));
    let dir = tempfile::tempdir().unwrap();
    test(&|| open_at(dir.path()).unwrap());
}

/// A database file that outlives its process.
#[derive(Default)]
struct Kept(std::sync::Mutex<Option<tempfile::NamedTempFile>>);

impl memory::DatabaseFile for Kept {
    fn open(&self) -> Result<redb::Database, StorageError> {
        let mut file = self.0.lock().unwrap();
        let path = file.get_or_insert_with(|| tempfile::NamedTempFile::new().unwrap()).path();
        redb::Database::create(path).map_err(|error| StorageError::database(path, error))
    }

    fn remove(&self) {
        *self.0.lock().unwrap() = None;
    }
}

fn joined() -> Joined {
    Joined { cluster: ClusterId(7), name: "demo".into(), node: NodeId(3) }
}

fn write(engine: &dyn Engine, key: u64) {
    let mut batch = Batch::default();
    batch.put(Space::Objects, key.to_be_bytes().to_vec(), vec![1; 100]);
    engine.apply(batch).unwrap();
}

fn objects(engine: &dyn Engine) -> usize {
    engine.scan(Space::Objects, b"", None, 10).unwrap().len()
}

/// Counts how often it was done on this database.
fn vote(database: &redb::Database) -> u64 {
    let write = database.begin_write().unwrap();
    let before = {
        let mut table = write.open_table(TABLE).unwrap();
        let before = table.get(0).unwrap().map_or(0, |votes| votes.value());
        table.insert(0, before + 1).unwrap();
        before
    };
    write.commit().unwrap();
    before + 1
}

#[test]
fn a_start_that_was_withdrawn_does_not_count() {
    on_each(|open| {
        for _ in 0..3 {
            let mut home = open();
            home.withdraw_start().unwrap();
        }
        assert_eq!(open().identity().start, 1);
        assert_eq!(open().identity().start, 2);
    });
}

#[test]
fn an_orderly_stop_is_clean_and_keeps_everything() {
    on_each(|open| {
        for start in 1..4 {
            let mut home = open();
            assert_eq!((home.identity().start, home.was_clean()), (start, start > 1));
            assert_eq!(home.load_ring(), (start > 1).then(|| vec![start as u8 - 1]));
            let engine = home.open_engine().unwrap();
            assert_eq!(objects(engine.as_ref()) as u64, start - 1);
            write(engine.as_ref(), start);
            assert_eq!(vote(&home.open_coordination().unwrap()), start);
            home.save_ring(&[start as u8]).unwrap();
            drop(engine);
            home.close().unwrap();
        }
    });
}

#[test]
fn a_stop_with_an_open_handle_is_not_clean() {
    on_each(|open| {
        let mut home = open();
        let handle = home.open_engine().unwrap();
        home.close().unwrap();
        drop(handle);
        assert!(!open().was_clean());
    });
}

#[test]
fn a_fresh_store_joins_once() {
    on_each(|open| {
        let mut home = open();
        assert_eq!((home.identity().store, home.identity().joined.clone()), (StoreId(1), None));
        home.adopt(joined(), StoreId(42)).unwrap();
        home.adopt(joined(), StoreId(42)).unwrap();
        drop(home);
        let mut home = open();
        assert_eq!((home.identity().store, home.identity().joined.clone()), (StoreId(42), Some(joined())));
        let elsewhere = Joined { cluster: ClusterId(8), ..joined() };
        for (joined, store) in [(elsewhere, StoreId(42)), (joined(), StoreId(43))] {
            let error = home.adopt(joined, store).unwrap_err();
            assert!(matches!(error, StorageError::Belongs { store: StoreId(42), node: NodeId(3), .. }), "{error}");
        }
    });
}

#[test]
fn the_generation_only_rises() {
    on_each(|open| {
        open().set_generation(2).unwrap();
        let mut home = open();
        home.set_generation(2).unwrap();
        let error = home.set_generation(1).unwrap_err();
        assert!(matches!(error, StorageError::OlderGeneration { given: 1, known: 2, .. }), "{error}");
        assert_eq!(home.identity().generation, 2);
    });
}

#[test]
fn a_dropped_coordination_begins_anew() {
    on_each(|open| {
        let mut home = open();
        assert_eq!(vote(&home.open_coordination().unwrap()), 1);
        assert_eq!(vote(&home.open_coordination().unwrap()), 2);
        home.drop_coordination().unwrap();
        drop(home);
        assert_eq!(vote(&open().open_coordination().unwrap()), 1);
    });
}

#[test]
fn a_store_set_aside_leaves_nothing_to_its_successor() {
    on_each(|open| {
        let mut home = open();
        home.adopt(joined(), StoreId(42)).unwrap();
        home.set_generation(5).unwrap();
        let engine = home.open_engine().unwrap();
        write(engine.as_ref(), 1);
        vote(&home.open_coordination().unwrap());
        home.save_ring(b"ring").unwrap();
        let error = home.set_aside(StoreId(2)).unwrap_err();
        assert!(matches!(error, StorageError::StillOpen { handles: 1, .. }), "{error}");
        assert_eq!(home.identity().store, StoreId(42), "a refused setting aside changed something");
        drop(engine);
        home.set_aside(StoreId(2)).unwrap();

        for start in 1..3 {
            let identity = home.identity();
            assert_eq!((identity.store, identity.start, identity.generation), (StoreId(2), start, 0));
            assert_eq!((identity.joined.clone(), home.was_clean(), home.load_ring()), (None, false, None));
            assert_eq!(objects(home.open_engine().unwrap().as_ref()), 0);
            assert_eq!(vote(&home.open_coordination().unwrap()), start);
            drop(home);
            home = open();
        }
    });
}

/// What was set aside is a data directory like any other.
#[test]
fn nothing_that_is_set_aside_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut home = open_at(dir.path()).unwrap();
    home.adopt(joined(), StoreId(42)).unwrap();
    write(home.open_engine().unwrap().as_ref(), 1);
    vote(&home.open_coordination().unwrap());
    home.save_ring(b"ring").unwrap();
    home.set_aside(StoreId(2)).unwrap();

    let mut aside = open_at(&dir.path().join(format!("set-aside-1-{}", StoreId(42)))).unwrap();
    assert_eq!((aside.identity().store, aside.identity().joined.clone()), (StoreId(42), Some(joined())));
    assert_eq!((aside.identity().start, aside.load_ring()), (2, Some(b"ring".to_vec())));
    assert_eq!(objects(aside.open_engine().unwrap().as_ref()), 1);
    assert_eq!(vote(&aside.open_coordination().unwrap()), 2);
}

/// Cut between two batches a journal looks whole, but not to one who knows how long it was.
#[test]
fn a_journal_cut_after_an_orderly_stop_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut home = open_at(dir.path()).unwrap();
    write(home.open_engine().unwrap().as_ref(), 1);
    home.close().unwrap();
    let journal = std::fs::OpenOptions::new().write(true).open(dir.path().join("engine/0.jnl")).unwrap();
    journal.set_len(0).unwrap();
    assert!(matches!(open_at(dir.path()).err().unwrap(), StorageError::Corrupt { .. }));
}

#[test]
fn a_directory_in_memory_is_rolled_back_wiped_and_copied() {
    let directory = MemoryDirectory::default();
    let mut home = directory.open(StoreId(1));
    let engine = home.open_engine().unwrap();
    write(engine.as_ref(), 1);
    engine.sync().unwrap();
    let earlier = directory.snapshot();
    home.adopt(joined(), StoreId(42)).unwrap();
    home.save_ring(b"ring").unwrap();
    write(engine.as_ref(), 2);
    drop(home);

    directory.restore(&earlier);
    let mut home = directory.open(StoreId(9));
    assert_eq!((home.identity().store, home.identity().start, home.load_ring()), (StoreId(1), 2, None));
    assert_eq!(objects(home.open_engine().unwrap().as_ref()), 1);

    let copy = MemoryDirectory::default();
    copy.restore(&earlier);
    assert_eq!(copy.open(StoreId(9)).identity().store, StoreId(1));
    assert_eq!(home.identity().store, StoreId(1), "a copy is another directory");

    directory.wipe();
    assert_eq!(directory.identity(), None);
    let mut home = directory.open(StoreId(9));
    assert_eq!((home.identity().store, home.identity().start), (StoreId(9), 1));
    assert_eq!(objects(home.open_engine().unwrap().as_ref()), 0);
}
