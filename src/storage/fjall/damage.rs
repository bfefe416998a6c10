//! Every file of a database damaged in many places, one at a time: never a wrong value, never a silent loss.
//!
//! Fjall's debug assertions stumble over some flipped lengths in a journal before its checksums are compared. Release builds
//! have no such assertions, so here such a panic counts as a refusal, and only there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::storage::behind_damage;

const BATCHES: u32 = 60;

/// What a damaged database made of itself.
#[derive(Debug)]
enum Outcome {
    Refused,
    /// It opened. How many of the first batches are there, whether a read failed, and what recovery said that it dropped.
    Opened {
        batches: u32,
        read_failed: bool,
        discarded_bytes: u64,
    },
}

fn settings() -> Settings {
    Settings { cache_bytes: 1 << 20, reserve_bytes: 0 }
}

fn value(batch: u32) -> Vec<u8> {
    vec![batch as u8; 50 + batch as usize]
}

/// A database with half of its batches in tables and half in the journal.
fn make(path: &Path) {
    let engine = FjallEngine::open(path, &settings()).unwrap();
    for number in 0..BATCHES {
        let mut batch = Batch::default();
        batch.put(Space::Objects, number.to_be_bytes().to_vec(), value(number));
        batch.put(Space::Hints, number.to_be_bytes().to_vec(), value(number));
        engine.apply(batch).unwrap();
        if number == BATCHES / 2 {
            engine.spaces.iter().for_each(|space| space.rotate_memtable_and_wait().unwrap());
        }
    }
    drop(engine);
    // Cuts the journal to its data, so that a copy is small.
    FjallEngine::open(path, &settings()).unwrap();
    remove_old_manifests(path);
}

/// Removes the manifests that `current` no longer names. Fjall does so when it next opens, or in the background, so that
/// whether there are any is chance; damage to them harms nobody.
fn remove_old_manifests(database: &Path) {
    disk::visit(database, &mut |path, _| {
        if let Some(number) = manifest_number(path) {
            let current = fs::read(path.with_file_name("current")).unwrap();
            if current[..8] != number.to_le_bytes() {
                fs::remove_file(path).unwrap();
            }
        }
    });
}

fn manifest_number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()
}

fn copy(from: &Path, to: &Path) {
    disk::visit(from, &mut |path, _| {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    });
}

fn attempt(path: &Path, in_journal: bool) -> Outcome {
    let engine = match catch_unwind(AssertUnwindSafe(|| FjallEngine::open(path, &settings()))) {
        Ok(Ok(engine)) => engine,
        Ok(Err(StorageError::Corrupt { .. } | StorageError::NewerFormat { .. })) => return Outcome::Refused,
        Ok(Err(error)) => panic!("damage is called something else: {error}"),
        Err(_) if in_journal && cfg!(debug_assertions) => return Outcome::Refused,
        Err(panic) => resume_unwind(panic),
    };
    let (mut batches, mut read_failed, mut ended) = (0, false, false);
    for number in 0..BATCHES {
        let found = [Space::Objects, Space::Hints].map(|space| engine.get(space, &number.to_be_bytes()));
        match found {
            [Ok(Some(object)), Ok(Some(hint))] => {
                assert!(object == value(number) && hint == value(number), "a wrong value of batch {number}");
                assert!(!ended, "batch {number} is there, but not one before it");
                batches += 1;
            }
            [Ok(None), Ok(None)] => ended = true,
            [Ok(None), Ok(_)] | [Ok(_), Ok(None)] => panic!("half of batch {number}"),
            [Err(error), _] | [_, Err(error)] => {
                assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
                read_failed = true;
            }
        }
    }
    Outcome::Opened { batches, read_failed, discarded_bytes: engine.discarded_bytes() }
}

/// What is done to a file's content, at some byte of it.
type Damage = fn(&mut Vec<u8>, usize);

/// Damages each file of which `chosen` wants it, at every `step`th byte; calls `check` with what came of it, the damaged file and
/// the place.
fn damage_each(chosen: fn(&str) -> bool, step: usize, damage: Damage, check: impl Fn(Outcome, &Path, usize)) {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    make(&whole);
    let mut files = Vec::new();
    disk::visit(&whole, &mut |path, _| files.push(path.strip_prefix(&whole).unwrap().display().to_string()));
    files.retain(|file| chosen(file));
    assert!(!files.is_empty());
    for file in files {
        let content = fs::read(whole.join(&file)).unwrap();
        for at in (0..content.len()).step_by(step) {
            let case = tempfile::tempdir().unwrap();
            copy(&whole, case.path());
            let damaged_file = case.path().join(&file);
            let mut damaged = content.clone();
            damage(&mut damaged, at);
            fs::write(&damaged_file, damaged).unwrap();
            check(attempt(case.path(), is_journal(&file)), &damaged_file, at);
        }
    }
}

fn is_journal(file: &str) -> bool {
    file.ends_with(".jnl")
}

fn is_manifest(file: &str) -> bool {
    file.ends_with("/current") || manifest_number(Path::new(file)).is_some()
}

const FLIP: Damage = |content, at| content[at] ^= 0x81;
const CUT: Damage = Vec::truncate;

/// Recovery keeps the batches before the cut and says how much of the one that was hit it dropped.
#[test]
fn a_cut_journal_keeps_a_prefix() {
    damage_each(is_journal, 97, CUT, |outcome, journal, at| {
        let Outcome::Opened { batches, read_failed: false, discarded_bytes } = outcome else {
            panic!("cut at {at}: {outcome:?}");
        };
        assert!((BATCHES / 2 + 1..BATCHES).contains(&batches), "cut at {at}: {batches} batches are left");
        let dropped = at as u64 - fs::metadata(journal).unwrap().len();
        assert_eq!(discarded_bytes > 0, dropped > 0, "cut at {at}");
        assert!(discarded_bytes <= dropped, "cut at {at}");
    });
}

#[test]
fn a_flipped_bit_in_a_journal_is_refused_or_counted() {
    damage_each(is_journal, 61, FLIP, |outcome, _, at| match outcome {
        Outcome::Refused => {}
        Outcome::Opened { batches, read_failed, discarded_bytes } => {
            assert!(!read_failed);
            assert!(batches == BATCHES || discarded_bytes > 0, "flip at {at}: {batches} batches are left");
        }
    });
}

/// A table is checked block by block as it is read.
#[test]
fn a_flipped_bit_in_a_table_is_refused_or_fails_the_read() {
    damage_each(
        |file| file.contains("tables"),
        131,
        FLIP,
        |outcome, table, at| match outcome {
            Outcome::Refused => {}
            Outcome::Opened { batches, read_failed, .. } => {
                assert!(batches == BATCHES || read_failed, "flip at {at} of {table:?}: {batches} batches are left");
            }
        },
    );
}

#[test]
fn a_cut_table_is_refused() {
    damage_each(
        |file| file.contains("tables"),
        499,
        Vec::truncate,
        |outcome, table, at| {
            assert!(matches!(outcome, Outcome::Refused), "cut at {at} of {table:?}: {outcome:?}");
        },
    );
}

#[test]
fn a_damaged_manifest_is_refused() {
    for damage in [FLIP, CUT] {
        damage_each(is_manifest, 37, damage, |outcome, manifest, at| {
            assert!(matches!(outcome, Outcome::Refused), "damage at {at} of {manifest:?}: {outcome:?}");
        });
    }
}

/// Fjall may be stopped before it deletes the manifest that it replaced.
#[test]
fn a_damaged_manifest_that_was_replaced_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    fs::write(dir.path().join("keyspaces/1/v999"), b"rubbish").unwrap();
    let outcome = attempt(dir.path(), false);
    assert!(
        matches!(outcome, Outcome::Opened { batches: BATCHES, read_failed: false, discarded_bytes: 0 }),
        "{outcome:?}"
    );
}

#[test]
fn a_lost_file_or_space_is_refused() {
    let lost =
        ["keyspaces", "keyspaces/0", "keyspaces/1", "keyspaces/1/current", "keyspaces/1/tables", "version", "0.jnl"];
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    make(&whole);
    for name in lost {
        let case = tempfile::tempdir().unwrap();
        copy(&whole, case.path());
        let path = case.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        let outcome = attempt(case.path(), false);
        assert!(matches!(outcome, Outcome::Refused), "{name}: {outcome:?}");
    }
}

/// Everything that a walk reads which goes on behind damage, and whether it met any.
fn walk(engine: &FjallEngine) -> (Vec<u32>, bool) {
    let (mut read, mut after, mut met) = (vec![], None::<bytes::Bytes>, false);
    loop {
        match engine.scan(Space::Objects, &[], after.as_deref(), 1) {
            Ok(entries) => {
                let Some((key, value)) = entries.into_iter().next() else { return (read, met) };
                let number = u32::from_be_bytes(key[..].try_into().unwrap());
                assert_eq!(value, self::value(number), "a wrong value");
                read.push(number);
                after = Some(key);
            }
            Err(StorageError::Corrupt { .. }) => {
                met = true;
                after = behind_damage(engine, Space::Objects, &[], after.as_deref());
                if after.is_none() {
                    return (read, met);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What is in the journal is in no table, so no damage to a table hides it.
#[test]
fn what_lies_behind_a_damaged_block_is_read() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    make(&whole);
    let mut tables = Vec::new();
    disk::visit(&whole, &mut |path, _| tables.push(path.strip_prefix(&whole).unwrap().to_path_buf()));
    tables.retain(|path| path.to_string_lossy().contains("tables"));
    let mut met = 0;
    for table in tables {
        let content = fs::read(whole.join(&table)).unwrap();
        for at in (0..content.len()).step_by(173) {
            let case = tempfile::tempdir().unwrap();
            copy(&whole, case.path());
            let mut damaged = content.clone();
            FLIP(&mut damaged, at);
            fs::write(case.path().join(&table), damaged).unwrap();
            let opened = catch_unwind(AssertUnwindSafe(|| FjallEngine::open(case.path(), &settings())));
            let Ok(Ok(engine)) = opened else { continue };
            let (read, met_damage) = walk(&engine);
            met += usize::from(met_damage);
            assert!(read.is_sorted(), "{read:?}");
            let expected = BATCHES / 2 + 1..BATCHES;
            assert!(expected.clone().all(|number| read.contains(&number)), "flip at {at} of {table:?}: {read:?}");
            assert!(met_damage || read.len() as u32 == BATCHES, "flip at {at} of {table:?}: {read:?}");
        }
    }
    assert!(met > 0, "no damage was met");
}
