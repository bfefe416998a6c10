//! All nodes die in one moment, and whatever was not synced is gone from their disks.

use std::collections::BTreeMap;
use std::io::Write;

use crate::all_killed::{lost_by_each, write_everywhere};
use crate::powerloss::{self, PowerLoss, Skip};
use crate::process::{Cluster, Setup};

const WRITES: usize = 2000;

/// How many of the writes that all three nodes acknowledged each of them has lost. `None`: skipped.
async fn lost_with(sync: &'static str) -> Option<BTreeMap<u32, usize>> {
    let library = match PowerLoss::build() {
        Ok(library) => library,
        Err(Skip(why)) => {
            // Not `eprintln!`, which the test runner keeps to itself while tests pass.
            let mut uncaptured = std::io::stderr();
            writeln!(uncaptured, "power loss with sync = \"{sync}\": SKIPPED, {why}").unwrap();
            return None;
        }
    };
    let mut cluster = Cluster::prepare(Setup { sync, ..Setup::default() });
    let (root, shadow) = (cluster.root(), cluster.path("shadow"));
    cluster.environment = library.environment(&root, &shadow).unwrap().into();
    cluster.run_all().await;
    let acknowledged = write_everywhere(&cluster.patient_client().await, WRITES).await;
    cluster.kill(&[1, 2, 3]);
    powerloss::cut(&root, &shadow).expect("nothing that the library cannot follow");
    Some(lost_by_each(&mut cluster, &acknowledged).await)
}

#[tokio::test]
async fn synced_writes_are_all_there() {
    if let Some(lost) = lost_with("always").await {
        assert_eq!(lost, BTreeMap::from([(1, 0), (2, 0), (3, 0)]), "of {WRITES} acknowledged writes");
    }
}

/// Shows that the test above can fail.
#[tokio::test]
async fn without_sync_writes_are_lost() {
    if let Some(lost) = lost_with("never").await {
        println!("of {WRITES} acknowledged writes each node has lost: {lost:?}");
        assert!(lost.values().all(|lost| *lost > 0), "{lost:?}");
    }
}
