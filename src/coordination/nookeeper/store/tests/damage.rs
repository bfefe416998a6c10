//! Files that are not what this program wrote.

use std::fs;
use std::path::{Path, PathBuf};

use openraft::RaftLogReader;
use openraft::storage::RaftStateMachine;
use openraft::{Entry, RaftSnapshotBuilder};
use redb::{Database, ReadableTable, TableDefinition};

use super::{commit, entry, open_path};
use crate::coordination::nookeeper::store::OpenError;
use crate::coordination::nookeeper::types::Types;

/// A file with a snapshot and entries after it.
async fn filled(directory: &Path) -> PathBuf {
    let path = directory.join("coordination.redb");
    let (mut log, mut machine) = open_path(&path).unwrap();
    commit(&mut log, &mut machine, (0..20).map(|index| entry(1, index)).collect()).await;
    machine.build_snapshot().await.unwrap();
    commit(&mut log, &mut machine, (20..40).map(|index| entry(1, index)).collect()).await;
    path
}

/// Everything there is, or why it cannot be read.
async fn read_all(path: &Path) -> Result<(Vec<Entry<Types>>, Option<Vec<u8>>), String> {
    let (mut log, mut machine) = open_path(path).map_err(|error| {
        let error = error.to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error} does not name the file");
        error
    })?;
    let entries = log.try_get_log_entries(..).await.map_err(|error| error.to_string())?;
    let snapshot = machine.get_current_snapshot().await.map_err(|error| error.to_string())?;
    Ok((entries, snapshot.map(|snapshot| snapshot.snapshot.into_inner())))
}

/// Bytes are altered all over the file: either nobody needs them, or it is an error.
#[tokio::test]
async fn damage_is_an_error_that_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = filled(directory.path()).await;
    let expected = read_all(&path).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut found = 0;
    for at in used.iter().step_by(used.len() / 100) {
        let mut damaged = whole.clone();
        damaged[*at] ^= 0x55;
        fs::write(&path, damaged).unwrap();
        match read_all(&path).await {
            Ok(read) => assert!(read == expected, "byte {at} was altered and nobody noticed"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 30, "{found} of 100 were found");
}

#[tokio::test]
async fn no_database_and_half_a_database_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = filled(directory.path()).await;
    let whole = fs::read(&path).unwrap();
    for bytes in [&b"not a database"[..], &whole[..whole.len() / 2], &whole[..5000]] {
        fs::write(&path, bytes).unwrap();
        let error = open_path(&path).err().expect("opened").to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    }
}

#[tokio::test]
async fn an_entry_that_was_altered_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = filled(directory.path()).await;
    alter(&path, |record| *record.last_mut().unwrap() ^= 1);
    let (mut log, _) = open_path(&path).unwrap();
    assert!(log.try_get_log_entries(..30).await.is_ok());
    let error = log.try_get_log_entries(..).await.unwrap_err();
    assert!(error.to_string().contains("entry 30 is damaged"), "{error}");
}

/// Changes the record of entry 30 as redb would never do by itself.
fn alter(path: &Path, alter: impl FnOnce(&mut Vec<u8>)) {
    let log = TableDefinition::<u64, &[u8]>::new("log");
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut log = transaction.open_table(log).unwrap();
        let mut record = log.get(30).unwrap().unwrap().value().to_vec();
        alter(&mut record);
        log.insert(30, record.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn formats_of_later_programs_and_files_of_other_programs_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("coordination.redb");
    let put = |name: &str, format: u64| {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TableDefinition::<(), u64>::new(name)).unwrap().insert((), format).unwrap();
        transaction.commit().unwrap();
    };
    put("something", 1);
    assert!(matches!(open_path(&path).err().unwrap().cause, OpenError::Foreign));
    put("format", 2);
    assert!(matches!(open_path(&path).err().unwrap().cause, OpenError::NewerFormat { found: 2, known: 1 }));
    put("format", 0);
    assert!(matches!(open_path(&path).err().unwrap().cause, OpenError::File(_)));
}
