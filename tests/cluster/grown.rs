//! Three nodes become five, and then four again, while everybody goes on writing and reading.

use crate::load::{Done, Load};
use crate::moving::{
    are_where_they_belong, commit, ended, fill, is_known, join, leave, loads, nothing_is_lost, setting,
};
use crate::process::{Cluster, Setup};
use crate::strict::StrictLoad;

/// Keys that are there before anything moves. `KV_MOVED_KEYS=200000` for the long run.
const KEYS: usize = 2_000;

fn check(load: &Done, strict: &crate::strict::Done) {
    println!(
        "{} requests, {} strict writes, {} strict reads, {} and {} failed",
        load.requests,
        strict.written,
        strict.read,
        load.failures.len(),
        strict.failed
    );
    assert!(load.failures.is_empty(), "{:?}", load.failures[0]);
    assert!(load.behind.is_empty(), "{:?}", load.behind[0]);
    assert_eq!(strict.failed, 0, "{:?}", strict.failure);
    assert!(load.requests > 0 && strict.written > 0 && strict.read > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_and_go_under_load() {
    let mut nodes = Cluster::start_with(Setup { sync: "never", ..Setup::default() }).await;
    let client = nodes.client().await;
    let keys = fill(&client, "before", setting("KV_MOVED_KEYS", KEYS)).await;
    let (load, strict) = (Load::start(&client, 4), StrictLoad::start(&client, 4));

    for expected in [4, 5] {
        let id = nodes.add(1);
        assert_eq!(id, expected);
        nodes.restart(id).await;
        is_known(&nodes, id).await;
    }
    let (number, plan) = commit(&client, &[join(4), join(5)]).await;
    let report = ended(&client, number).await;
    let done = load.stop().await;
    check(&done, &strict.stop().await);
    println!("{} replicas moved, in {} ms", plan.replicas, report.ended_ms.unwrap() - report.committed_ms);

    // 192 replicas among five, of which the two that came had none: so many must move, and no more do.
    let grown = loads(&client, 1).await;
    let counts: Vec<u32> = grown.iter().map(|(_, count)| *count).collect();
    assert_eq!((grown.len(), counts.iter().sum::<u32>()), (5, 192), "{grown:?}");
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{grown:?}");
    let to_come: u32 = grown.iter().filter(|(id, _)| *id > 3).map(|(_, count)| count).sum();
    assert_eq!(plan.replicas, to_come);
    nothing_is_lost(&client, &keys, &done).await;
    are_where_they_belong(&client, &keys).await;

    // One of the first goes again; it may be one that votes.
    let (load, strict) = (Load::start_named("leaving", &client, 4), StrictLoad::start(&client, 4));
    let (number, _) = commit(&client, &[leave(2)]).await;
    ended(&client, number).await;
    let done = load.stop().await;
    check(&done, &strict.stop().await);
    let left = loads(&client, 1).await;
    assert_eq!(left.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>(), [(1, 48), (3, 48), (4, 48), (5, 48)]);
    assert!(nodes.ends(2).await.success());
    nothing_is_lost(&client, &keys, &done).await;
    are_where_they_belong(&client, &keys).await;
}
