//! Strict requests need a lease; sloppy ones do not. Nodes in this process, each with a lease that the test holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use kv::api::server::Server;
use kv::client::{Client, ClientError, Failure};
use kv::config::{Config, NodeEntry};
use kv::coordination::local::Local;
use kv::core::id::{NodeId, StoreId};
use kv::core::key::Key;
use kv::core::request::Kind;
use kv::core::version::{Dot, Object};
use kv::node::env::{Env, Observer, Simulated};
use kv::node::lease::Lease;
use kv::storage::home::memory::MemoryDirectory;
use kv::testing::{free_addresses, wait_until_linked};

use crate::wait::until;

/// So many that each node is asked last for some of them.
const KEYS: usize = 60;

/// Nodes that run, their leases, and a client that goes on to another node where that is safe.
struct Nodes {
    servers: Vec<Server>,
    leases: Vec<Lease>,
    client: Client,
}

impl Nodes {
    /// So many nodes. Their sessions are so long that no renewal disturbs what a test does with the leases. `surroundings` is
    /// told where a node's lease will be.
    async fn start(count: u32, surroundings: impl Fn(LeaseSlot) -> Env) -> Nodes {
        let addresses = free_addresses(count as usize).unwrap();
        let entries: Vec<_> =
            (1..).zip(&addresses).map(|(id, address)| NodeEntry::new(NodeId(id), address.as_str())).collect();
        let (mut servers, mut leases) = (vec![], vec![]);
        let service = Local::new();
        for NodeEntry { id, address, .. } in entries.clone() {
            let mut config = Config::default();
            config.cluster.nodes = entries.clone();
            config.cluster.replication = count as u8;
            (config.cluster.coordination.bootstrap, config.cluster.coordination.session_timeout_ms) = (true, 600_000);
            config.node.id = id;
            (config.node.listen, config.node.advertise) = (address.clone(), address);
            let home = Arc::new(Mutex::new(Box::new(MemoryDirectory::default().open(StoreId(id.0.into()))) as _));
            let slot = LeaseSlot::default();
            let env = surroundings(slot.clone());
            let server = Server::start(config, home, Some(Arc::new(service.clone())), env).await.unwrap();
            let lease = server.node.handle.lease.clone();
            let _ = slot.set(lease.clone());
            until("a lease", async || lease.is_held(server.node.handle.env.boot_time()).then_some(())).await;
            servers.push(server);
            leases.push(lease);
        }
        let running = (1..).map(NodeId).zip(addresses.clone()).collect();
        wait_until_linked(&running, Duration::from_secs(30)).await.unwrap();
        let client = Client::builder().servers(addresses).connect().await.unwrap();
        Nodes { servers, leases, client }
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}

/// Where a node's lease is, once the node runs.
type LeaseSlot = Arc<OnceLock<Lease>>;

fn real(_: LeaseSlot) -> Env {
    Env::real(1)
}

fn failure<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Failure {
    match result {
        Err(ClientError::Failure(failure)) => failure,
        other => panic!("{other:?} is no failure of the cluster"),
    }
}

fn run(story: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(story);
}

#[test]
fn without_leases_only_the_sloppy_are_served() {
    run(async {
        let nodes = Nodes::start(3, real).await;
        let client = &nodes.client;
        client.put("k", "1").w(3).strict().await.unwrap();
        nodes.leases.iter().for_each(Lease::end);

        let refused = failure(client.put("k", "2").w(2).strict().await);
        assert!(
            matches!(refused, Failure::RingMayBeStale { kind: Kind::Write, applied: false, .. }) && refused.retryable(),
            "{refused}"
        );
        let refused = failure(client.get("k").r(2).pr(1).await);
        assert!(matches!(refused, Failure::RingMayBeStale { kind: Kind::Read, .. }), "{refused}");

        let read = client.get("k").r(3).await.unwrap();
        assert_eq!(read.value().unwrap().as_ref(), b"1", "what was refused was not written");
        client.put("k", "3").w(3).context(&read.context).await.unwrap();

        let now = nodes.servers[0].node.handle.env.boot_time();
        nodes.leases.iter().for_each(|lease| lease.extend(now, Duration::from_secs(600)));
        let read = client.get("k").r(3).strict().await.unwrap();
        assert_eq!(read.value().unwrap().as_ref(), b"3");
        nodes.stop().await;
    });
}

#[test]
fn an_owner_without_a_lease_counts_in_r_and_w_alone() {
    run(async {
        let nodes = Nodes::start(3, real).await;
        let client = &nodes.client;
        nodes.leases[2].end();

        // Two have one, whoever is asked first.
        client.put("k", "1").w(2).strict().await.unwrap();
        client.get("k").r(2).strict().await.unwrap();
        client.put("k", "2").w(3).pw(2).await.unwrap();
        assert_eq!(client.get("k").r(3).pr(2).await.unwrap().replicas.len(), 3);

        let short = failure(client.put("k", "3").w(3).strict().await);
        let Failure::QuorumNotMet { primaries_got, unleased, applied: true, .. } = &short else { panic!("{short}") };
        assert!(*primaries_got <= 2 && unleased[..] == [NodeId(3)], "{short}");
        // The client asks all nodes one after the other, in an order that depends on the key, and shows the last one's answer.
        let mut last = vec![];
        for i in 0..KEYS {
            last.push(failure(client.get(format!("k{i}")).r(3).strict().await));
        }
        let is_told_by_itself = |failure: &&Failure| matches!(failure, Failure::RingMayBeStale { node: NodeId(3), .. });
        let (itself, others): (Vec<_>, Vec<_>) = last.iter().partition(is_told_by_itself);
        assert!(!itself.is_empty() && !others.is_empty(), "{last:?}");
        for short in others {
            let Failure::QuorumNotMet { unleased, .. } = short else { panic!("{short}") };
            assert_eq!(unleased[..], [NodeId(3)], "{short}");
        }
        nodes.stop().await;
    });
}

/// Ends a lease when its store has relied on it so often since a certain moment.
struct EndsLease {
    lease: LeaseSlot,
    /// Counts down; zero is not armed.
    left: Arc<AtomicU64>,
    /// What to set it to when a dot is minted.
    from_minting: u64,
}

impl Observer for EndsLease {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {
        self.left.store(self.from_minting, Ordering::Relaxed);
    }

    fn strict_counted(&self, _: StoreId) {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) == Ok(1) {
            self.lease.get().unwrap().end();
        }
    }
}

/// One node whose lease ends after its `left`th reply, or after so many of a write.
async fn one_node(left: &Arc<AtomicU64>, from_minting: u64) -> Nodes {
    Nodes::start(1, |lease| {
        let observer = EndsLease { lease, left: left.clone(), from_minting };
        let sync_us_max = Arc::new(AtomicU64::new(1));
        Env::simulated(1, Simulated { seed: 1, skew_ms: 0, sync_us_max, observer: Arc::new(observer) })
    })
    .await
}

/// After the dot has left and before the object is durable: the replica does not count.
#[test]
fn a_lease_that_ends_before_the_write_is_durable_does_not_count() {
    run(async {
        let nodes = one_node(&Arc::default(), 1).await;
        let short = failure(nodes.client.put("k", "1").w(1).strict().await);
        let Failure::QuorumNotMet { primaries_got: 0, unleased, applied: true, .. } = &short else { panic!("{short}") };
        assert_eq!(unleased[..], [NodeId(1)]);
        nodes.stop().await;
    });
}

/// After the replica was counted and before the client is answered: the write holds, and nobody may say that it does.
#[test]
fn a_write_whose_coordinator_loses_its_lease_has_an_unknown_outcome() {
    run(async {
        let nodes = one_node(&Arc::default(), 2).await;
        let unknown = failure(nodes.client.put("k", "1").w(1).strict().await);
        assert_eq!(unknown, Failure::RingMayBeStale { kind: Kind::Write, node: NodeId(1), applied: true });
        assert!(unknown.outcome_unknown() && !unknown.retryable());
        assert_eq!(nodes.client.get("k").r(1).await.unwrap().value().unwrap().as_ref(), b"1");
        nodes.stop().await;
    });
}

#[test]
fn a_read_whose_coordinator_loses_its_lease_is_refused() {
    run(async {
        let left = Arc::default();
        let nodes = one_node(&left, 0).await;
        nodes.client.put("k", "1").w(1).strict().await.unwrap();
        left.store(1, Ordering::Relaxed);
        let refused = failure(nodes.client.get("k").r(1).strict().await);
        assert_eq!(refused, Failure::RingMayBeStale { kind: Kind::Read, node: NodeId(1), applied: false });
        nodes.stop().await;
    });
}
