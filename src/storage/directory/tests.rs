//! Every way to be handed the wrong directory, and that a refused one is left as it was.

use std::fs::OpenOptions;
use std::io::Write;

use super::*;
use crate::core::id::ClusterId;

fn expected() -> Expected {
    Expected { cluster: Some("demo".into()), node: Some(NodeId(1)), engine: "fjall".into() }
}

fn open(path: &Path) -> Result<DataDir, StorageError> {
    DataDir::open(path, &expected(), StoreId(42))
}

fn joined() -> Joined {
    Joined { cluster: ClusterId(7), name: "demo".into(), node: NodeId(1) }
}

fn open_coordination(directory: &mut DataDir) -> Result<PathBuf, StorageError> {
    directory.open_coordination(|path| {
        OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(b"v")).unwrap();
        Ok(path.to_path_buf())
    })
}

/// An engine that is one file.
fn open_engine(directory: &mut DataDir) -> Result<PathBuf, StorageError> {
    directory.open_engine(|path| {
        fs::create_dir_all(path).unwrap();
        let file = path.join("data");
        if !file.exists() {
            fs::write(&file, "0123456789").unwrap();
        }
        Ok(file)
    })
}

/// Makes a directory of a member and stops in an orderly way.
fn made(path: &Path) {
    let mut directory = open(path).unwrap();
    directory.adopt(joined(), StoreId(42)).unwrap();
    open_engine(&mut directory).unwrap();
    directory.close().unwrap();
}

#[test]
fn start_rises_with_every_opening_and_survives() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/data");
    for start in 1..4 {
        let directory = open(&path).unwrap();
        assert_eq!((directory.identity().start, directory.identity().store), (start, StoreId(42)));
    }
}

#[test]
fn only_an_orderly_stop_is_clean() {
    let root = tempfile::tempdir().unwrap();
    assert!(!open(root.path()).unwrap().was_clean());
    assert!(!open(root.path()).unwrap().was_clean());
    made(root.path());
    assert!(open(root.path()).unwrap().was_clean());
    assert!(!open(root.path()).unwrap().was_clean());
}

#[test]
fn one_process_holds_it() {
    let root = tempfile::tempdir().unwrap();
    let held = open(root.path()).unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(&error, StorageError::Held { pid: Some(pid), .. } if *pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&root.path().display().to_string()), "{error}");
    drop(held);
    open(root.path()).unwrap();
}

#[test]
fn a_foreign_directory_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.txt"), "all of it").unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(&error, StorageError::Foreign { found, .. } if found == "thesis.txt"), "{error}");
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[test]
fn a_mount_point_and_an_interrupted_making_are_empty() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(take::MOUNT_POINT)).unwrap();
    fs::write(root.path().join(take::LOCK), "").unwrap();
    fs::write(root.path().join("store.toml.new"), "form").unwrap();
    assert_eq!(open(root.path()).unwrap().identity().start, 1);
}

#[test]
fn a_file_is_no_directory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(open(file.path()).unwrap_err(), StorageError::NotADirectory { .. }));
    assert!(matches!(open(&file.path().join("below")).unwrap_err(), StorageError::NotADirectory { .. }));
}

#[test]
fn what_belongs_to_another_is_refused() {
    let root = tempfile::tempdir().unwrap();
    made(root.path());
    let refused = |expected: Expected| DataDir::open(root.path(), &expected, StoreId(1)).unwrap_err();
    let error = refused(Expected { cluster: Some("other".into()), ..expected() });
    assert!(matches!(error, StorageError::OtherCluster { .. }), "{error}");
    let error = refused(Expected { node: Some(NodeId(2)), ..expected() });
    assert!(matches!(error, StorageError::OtherNode { .. }), "{error}");
    let error = refused(Expected { engine: "cask".into(), ..expected() });
    assert!(matches!(error, StorageError::OtherEngine { .. }), "{error}");
    // Whoever joins does not know yet whose it is.
    let directory =
        DataDir::open(root.path(), &Expected { cluster: None, node: None, ..expected() }, StoreId(1)).unwrap();
    assert_eq!((directory.identity().start, directory.was_clean()), (2, true), "a refused opening left a trace");
    assert_eq!(directory.identity().joined, Some(joined()));
}

#[test]
fn a_damaged_or_newer_identity_is_refused() {
    let root = tempfile::tempdir().unwrap();
    made(root.path());
    let file = root.path().join(identity::FILE);
    let whole = fs::read(&file).unwrap();
    for damaged in [&b""[..], &whole[..whole.len() / 2], &[0; 300]] {
        fs::write(&file, damaged).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { path, .. } if *path == file), "{error}");
    }
    fs::write(&file, "format = 9\n").unwrap();
    assert!(matches!(open(root.path()).unwrap_err(), StorageError::NewerFormat { found: 9, .. }));
    fs::write(&file, "format = 1\n").unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, StorageError::OlderFormat { found: 1, .. }), "{error}");
    fs::write(&file, &whole).unwrap();
    open(root.path()).unwrap();
}

#[test]
fn a_file_shortened_after_an_orderly_stop_is_noticed_until_it_is_restored() {
    let root = tempfile::tempdir().unwrap();
    made(root.path());
    let file = root.path().join("engine/data");
    fs::write(&file, "012345678").unwrap();
    for _ in 0..2 {
        let error = open(root.path()).unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { detail, .. } if detail.contains("data 10")), "{error}");
    }
    fs::write(&file, "0123456789").unwrap();
    assert!(open(root.path()).unwrap().was_clean());
}

#[test]
fn a_lost_engine_is_not_made_anew() {
    let root = tempfile::tempdir().unwrap();
    open_engine(&mut open(root.path()).unwrap()).unwrap();
    fs::remove_dir_all(root.path().join(ENGINE)).unwrap();
    let error = open_engine(&mut open(root.path()).unwrap()).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[test]
fn a_half_made_engine_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let broken = open(root.path()).unwrap().open_engine(|path| {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("half"), "").unwrap();
        Err::<(), _>(StorageError::Closed)
    });
    assert!(broken.is_err());
    let file = open_engine(&mut open(root.path()).unwrap()).unwrap();
    assert!(!file.with_file_name("half").exists());
}

#[test]
fn a_lost_vote_is_not_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let file = open_coordination(&mut open(root.path()).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    let error = open_coordination(&mut open(root.path()).unwrap()).unwrap_err();
    assert!(matches!(&error, StorageError::Corrupt { path, .. } if *path == file), "{error}");
    let mut directory = open(root.path()).unwrap();
    directory.drop_coordination().unwrap();
    open_coordination(&mut directory).unwrap();
}

#[test]
fn a_half_made_or_half_dropped_vote_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let broken = open(root.path()).unwrap().open_coordination(|path| {
        fs::write(path, "half").unwrap();
        Err::<(), _>(StorageError::Closed)
    });
    assert!(broken.is_err());
    let file = open_coordination(&mut open(root.path()).unwrap()).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"v");

    open(root.path()).unwrap().drop_coordination().unwrap();
    fs::write(&file, "what the crash left").unwrap();
    open_coordination(&mut open(root.path()).unwrap()).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"v");
}

#[test]
fn a_damaged_ring_is_none() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path()).unwrap();
    assert_eq!(directory.load_ring(), None);
    for ring in [&b""[..], b"one", b"another"] {
        directory.save_ring(ring).unwrap();
        assert_eq!(directory.load_ring().unwrap(), ring);
    }
    let file = root.path().join(ring::FILE);
    let whole = fs::read(&file).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &flipped).unwrap();
        assert_eq!(directory.load_ring(), None);
    }
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        assert_eq!(directory.load_ring(), None);
    }
}

/// A store with everything that one can have, stopped in order and opened again.
fn full(path: &Path) -> DataDir {
    let mut directory = open(path).unwrap();
    directory.adopt(joined(), StoreId(42)).unwrap();
    open_engine(&mut directory).unwrap();
    open_coordination(&mut directory).unwrap();
    directory.save_ring(b"ring").unwrap();
    directory.close().unwrap();
    open(path).unwrap()
}

/// Every state that a crash can leave: all that was done, from the last step backwards, is undone, and the next opening
/// must find the successor, and all of the old store put aside.
#[test]
fn an_interrupted_setting_aside_is_finished() {
    let steps = aside::CONTENT.len() + 3;
    for undone in 0..=steps {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let mut directory = full(path);
        let old = directory.identity().clone();
        directory.set_aside(StoreId(43)).unwrap();
        drop(directory);
        let aside = path.join(format!("set-aside-2-{}", old.store));
        if undone > 0 {
            write_identity(path, &Identity { successor: Some(StoreId(43)), ..old.clone() }).unwrap();
        }
        for name in aside::CONTENT.iter().rev().take(undone.saturating_sub(1)) {
            // The marker of the last orderly stop was gone before.
            let _ = fs::rename(aside.join(name), path.join(name));
        }
        if undone > steps - 2 {
            fs::remove_file(aside.join(identity::FILE)).unwrap();
        }
        if undone > steps - 1 {
            fs::remove_dir(&aside).unwrap();
        }

        let mut directory = open(path).unwrap();
        let fresh = Identity { start: 2, ..Identity::fresh("fjall", StoreId(43)) };
        assert_eq!((directory.identity(), directory.was_clean()), (&fresh, false), "{undone} undone");
        assert_eq!((directory.load_ring(), directory.coordination_file().exists()), (None, false));
        open_engine(&mut directory).unwrap();

        let mut old_again = open(&aside).unwrap();
        assert_eq!(*old_again.identity(), Identity { start: 3, ..old }, "{undone} undone");
        assert_eq!(old_again.load_ring().unwrap(), b"ring");
        assert_eq!(fs::read(open_engine(&mut old_again).unwrap()).unwrap(), b"0123456789");
        assert_eq!(fs::read(open_coordination(&mut old_again).unwrap()).unwrap(), b"vv");
    }
}

#[test]
fn two_stores_are_set_aside_one_after_the_other() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = full(root.path());
    for fresh in [43, 44] {
        directory.set_aside(StoreId(fresh)).unwrap();
        open_engine(&mut directory).unwrap();
    }
    let mut names: Vec<String> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("set-aside-"))
        .collect();
    names.sort();
    assert_eq!(names, [format!("set-aside-1-{}", StoreId(43)), format!("set-aside-2-{}", StoreId(42))]);
}
