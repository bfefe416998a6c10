//! The client inside a simulated network and virtual time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::net::Listener;
use tokio::time::{Instant, sleep};

use crate::fake_node::{FakeNode, Shared};

/// A partition loses the bytes of a connection for good: it looks alive on both sides and carries nothing any more.
fn zombie_connection(seed: u64) -> Vec<(NodeId, Duration)> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(60))
        .max_message_latency(Duration::from_millis(10))
        .enable_random_order()
        .build();
    let members: Vec<_> = (1..=3).map(|id| (NodeId(id), format!("n{id}:8000"))).collect();
    let shared = Shared::new(members.clone(), 3, vec![]);
    for (id, _) in members.clone() {
        let shared = shared.clone();
        sim.host(format!("n{id}"), move || {
            let shared = shared.clone();
            async move {
                let _node = FakeNode::start(id, Listener::bind("0.0.0.0:8000").await?, shared);
                std::future::pending().await
            }
        });
    }
    let trace = Rc::new(RefCell::new(Vec::new()));
    let log = trace.clone();
    sim.client("app", async move {
        let servers = members.into_iter().map(|(_, address)| address);
        let client = Client::builder().servers(servers).seed(seed).connect().await?;
        let read = async || {
            let start = Instant::now();
            let replica = client.get("k").await.unwrap().replicas[0];
            log.borrow_mut().push((replica, start.elapsed()));
            (replica, start.elapsed())
        };
        let (first, _) = read().await;
        turmoil::partition("app", format!("n{first}"));

        let start = Instant::now();
        let unknown = client.put("k", "v").timeout(Duration::from_secs(30)).await.unwrap_err();
        assert!(unknown.outcome_unknown());
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        for _ in 0..10 {
            let (other, took) = read().await;
            assert!(other != first && took < Duration::from_millis(500), "{other} {took:?}");
        }

        turmoil::repair("app", format!("n{first}"));
        while read().await.0 != first {
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    });
    sim.run().unwrap();
    trace.take()
}

#[test]
fn a_zombie_connection_is_found_out_and_replaced() {
    for seed in 0..5 {
        zombie_connection(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    assert_eq!(zombie_connection(7), zombie_connection(7));
}
