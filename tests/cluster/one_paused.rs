//! One of three nodes stops answering without a sign, and goes on later.

use std::time::{Duration, Instant};

use kv::client::Client;
use kv::config::Timing;
use tokio::task::JoinSet;

use crate::inspection::{counter, status, versions};
use crate::native::Native;
use crate::process::Cluster;
use crate::wait::until;

const KEYS: usize = 50;
/// Reads at once at each of the two nodes that are awake.
const READERS: usize = 4;
/// What a read may take beside the hedge, with every core busy with other tests. Hedge and margin together stay below the
/// second after which a node counts as down: a read that was not hedged would wait for that.
const MARGIN: Duration = Duration::from_millis(600);
/// How long a client listens for a silent node, by default (`Builder::dead_after`).
const DEAD_AFTER: Duration = Duration::from_secs(1);

fn key(i: usize) -> String {
    format!("key-{}", i % KEYS)
}

/// Reads at one node for a while, each read at r = 2 and answered with what was written. How long each took.
async fn read_for(address: String, value: &'static str, time: Duration) -> Vec<Duration> {
    let mut node = Native::connect(&address).await;
    let (start, mut took) = (Instant::now(), vec![]);
    while start.elapsed() < time {
        let asked = Instant::now();
        let (values, _) = node.get(&key(took.len()), 2).await.unwrap();
        took.push(asked.elapsed());
        assert_eq!(values, [value]);
    }
    took
}

async fn read_at_both(cluster: &Cluster, time: Duration) -> Vec<Duration> {
    let mut readers = JoinSet::new();
    for reader in 0..2 * READERS {
        let address = cluster.address(reader as u32 % 2 + 1).to_string();
        readers.spawn(read_for(address, "before", time));
    }
    let mut took = readers.join_all().await.concat();
    took.sort();
    took
}

fn figures(took: &[Duration]) -> String {
    let at = |quantile: f64| took[((took.len() - 1) as f64 * quantile) as usize];
    format!("{} reads, p50 {:?}, p99 {:?}, longest {:?}", took.len(), at(0.5), at(0.99), took[took.len() - 1])
}

#[tokio::test]
async fn reads_wait_no_longer_than_the_hedge_and_repair_it_afterwards() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    let pairs = (0..KEYS).map(|i| (key(i), "before"));
    client.multi_put(pairs).await.into_iter().for_each(|written| assert!(written.is_ok(), "{written:?}"));

    println!("all awake:   {}", figures(&read_at_both(&cluster, Duration::from_secs(1)).await));
    let hedges_before = hedges(&client).await;
    cluster.pause(3);
    // Longer than it takes to count as down, so that the turn from hedging to passing it by is measured too.
    let took = read_at_both(&cluster, Duration::from_secs(3)).await;
    let hedges = hedges(&client).await - hedges_before;
    println!("one asleep:  {}, {hedges} hedged", figures(&took));
    let bound = hedge_max() + MARGIN;
    assert!(took[took.len() - 1] <= bound, "longer than {bound:?}: {}", figures(&took));
    assert!(hedges > 0, "the paused node was never asked, so nothing was shown");

    until("the others know that node 3 is down", async || {
        let mut down = 0;
        for id in [1, 2] {
            down += status(&client, id).await.peers.iter().filter(|peer| peer.node.0 == 3 && !peer.up).count();
        }
        (down == 2).then_some(())
    })
    .await;
    // Not by the client, which would send the first of them to the node that is asleep.
    let mut awake = Native::connect(cluster.address(1)).await;
    for i in 0..KEYS {
        let (_, context) = awake.get(&key(i), 2).await.unwrap();
        awake.put(&key(i), "meanwhile", context, 2).await.unwrap();
    }
    cluster.resume(3);
    cluster.wait_until_linked().await;
    let behind = behind(&client).await;
    assert!(behind > 0, "it missed nothing");

    // Only the node that was away reads, and r = 2 makes it ask one other.
    let mut resumed = Native::connect(cluster.address(3)).await;
    for i in 0..KEYS {
        assert_eq!(resumed.get(&key(i), 2).await.unwrap().0, ["meanwhile"]);
    }
    until("the owners of each key hold one version", async || (self::behind(&client).await == 0).then_some(())).await;
    println!("{behind} of {KEYS} keys were behind and are repaired");
}

/// An application has more to find out than the other nodes: that its own coordinator is gone.
#[tokio::test]
async fn a_client_turns_away_from_it() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    for i in 0..KEYS {
        client.put(key(i), "before").w(3).await.unwrap();
    }
    cluster.pause(3);
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let client = client.clone();
        readers.spawn(async move {
            let (start, mut took) = (Instant::now(), vec![]);
            while start.elapsed() < 3 * DEAD_AFTER {
                let asked = Instant::now();
                let read = client.get(key(took.len())).r(2).await.unwrap();
                assert_eq!(read.value().unwrap(), "before");
                took.push(asked.elapsed());
            }
            took
        });
    }
    let readers = readers.join_all().await;
    let mut all = readers.concat();
    all.sort();
    println!("by a client: {}", figures(&all));
    assert!(all[all.len() - 1] <= DEAD_AFTER + MARGIN, "{}", figures(&all));
    // Whoever had asked it waits until it counts as dead; after that nobody does.
    for took in readers {
        let over = took.iter().filter(|took| **took > hedge_max() + MARGIN).count();
        assert!(over <= 1, "one reader waited for it {over} times");
    }
}

fn hedge_max() -> Duration {
    Duration::from_millis(Timing::default().hedge_max_ms)
}

async fn hedges(client: &Client) -> u64 {
    counter(client, 1, "hedges").await + counter(client, 2, "hedges").await
}

/// Keys of which the owners hold different versions.
async fn behind(client: &Client) -> usize {
    let mut behind = 0;
    for i in 0..KEYS {
        behind += usize::from(versions(client, &key(i)).await.len() > 1);
    }
    behind
}
