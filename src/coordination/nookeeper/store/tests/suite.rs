//! The Raft crate's own suite.

use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};

use super::open_path;
use crate::coordination::nookeeper::store::{LogStore, Machine, SimulatedFile, open};
use crate::coordination::nookeeper::types::{RaftId, Types};
use crate::core::id::StoreId;

impl From<u64> for RaftId {
    fn from(number: u64) -> RaftId {
        RaftId { generation: 0, store: StoreId(number.into()) }
    }
}

struct OnDisk;

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<RaftId>> {
        let directory = tempfile::tempdir().unwrap();
        let (log, machine) = open_path(&directory.path().join("log.redb")).unwrap();
        Ok((directory, log, machine))
    }
}

struct Simulated;

impl StoreBuilder<Types, LogStore, Machine> for Simulated {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<RaftId>> {
        let (log, machine) = open(SimulatedFile::new().open().unwrap()).unwrap();
        Ok(((), log, machine))
    }
}

#[test]
fn on_disk() {
    Suite::test_all(OnDisk).unwrap();
}

#[test]
fn simulated() {
    Suite::test_all(Simulated).unwrap();
}
