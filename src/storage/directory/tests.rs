//! Every way to be handed the wrong directory, and that a refused one is left as it was.

use super::*;

fn expected() -> Expected {
    Expected { cluster: "demo".into(), node: NodeId(1), store: StoreId(42), engine: "fjall".into() }
}

fn open(path: &Path) -> Result<DataDir, StorageError> {
    DataDir::open(path, &expected())
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

/// Makes a directory and stops in an orderly way.
fn made(path: &Path) {
    let mut directory = open(path).unwrap();
    open_engine(&mut directory).unwrap();
    directory.close().unwrap();
}

#[test]
fn start_rises_with_every_opening_and_survives() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/data");
    for start in 1..4 {
        let directory = open(&path).unwrap();
        assert_eq!((directory.start(), directory.store()), (start, StoreId(42)));
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
    fs::create_dir(root.path().join(MOUNT_POINT)).unwrap();
    fs::write(root.path().join(LOCK), "").unwrap();
    fs::write(root.path().join("store.toml.new"), "form").unwrap();
    assert_eq!(open(root.path()).unwrap().start(), 1);
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
    let refused = |expected: Expected| DataDir::open(root.path(), &expected).unwrap_err();
    let error = refused(Expected { cluster: "other".into(), ..expected() });
    assert!(matches!(error, StorageError::OtherCluster { .. }), "{error}");
    let error = refused(Expected { node: NodeId(2), ..expected() });
    assert!(matches!(error, StorageError::OtherNode { .. }), "{error}");
    let error = refused(Expected { store: StoreId(43), ..expected() });
    assert!(matches!(error, StorageError::OtherStore { .. }), "{error}");
    let error = refused(Expected { engine: "cask".into(), ..expected() });
    assert!(matches!(error, StorageError::OtherEngine { .. }), "{error}");
    let directory = open(root.path()).unwrap();
    assert_eq!((directory.start(), directory.was_clean()), (2, true), "a refused opening left a trace");
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
