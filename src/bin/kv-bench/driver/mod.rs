//! A closed loop against a cluster, speaking the wire protocol itself.
//!
//! Not through the client library: the loop shares its cores with the nodes that it measures, and what a library does for its callers
//! would be counted as the cluster's time. Like a good client it learns the ring and sends each key to an owner;
//! unlike one it retries nothing, so that an error is seen as what it is.
//!
//! Connections are spread over the nodes round robin. Every key goes to one and the same node throughout, one of its owners that
//! has a connection, so that blind writes never become siblings.

mod connection;
#[cfg(test)]
mod fake_node;
mod keep_going;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use kv::core::key::Key;
use kv::core::request::Options;
use kv::core::ring::Ring;
use kv::wire::report::{Inspect, Inspection, RingReport, StatusReport};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::task::LocalSet;

use crate::BenchError;
use crate::measure::{Load, Measured, Recorder};
use connection::Connection;
use keep_going::{Loop, Source};

/// Requests in flight on each connection while the keys are loaded.
const LOAD_IN_FLIGHT: usize = 16;

/// What is read and written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    /// How many keys.
    pub keys: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// With which quorums.
    pub options: Options,
}

/// A cluster, and what is sent to which of its nodes.
#[derive(Debug)]
pub struct Driver {
    /// The nodes that get connections.
    nodes: Vec<Node>,
    data: Data,
}

#[derive(Debug)]
struct Node {
    address: String,
    /// The keys that go there.
    keys: Rc<[Key]>,
}

impl Driver {
    /// Learns the ring from the first of `servers` that answers, and plans for `clients` connections.
    pub async fn new(servers: &[String], clients: usize, data: Data) -> Result<Driver, BenchError> {
        let report = learn(servers).await?;
        let n = data.options.n.unwrap_or(report.ring.replication);
        let keys = (0..data.keys).map(|i| Key::bare(format!("bench-{i:010}")));
        Ok(Driver { nodes: route(&report.ring, n, clients, keys), data })
    }

    /// Writes every key once, with a progress bar on standard error.
    pub async fn load(&self, clients: usize) -> Result<(), BenchError> {
        let style = ProgressStyle::with_template("loading {wide_bar} {human_pos}/{human_len} keys, {eta} left");
        let progress = ProgressBar::new(self.data.keys as u64).with_style(style.expect("a constant template is valid"));
        let none = Load { clients, in_flight: LOAD_IN_FLIGHT, warmup: Duration::ZERO, measured: Duration::ZERO };
        let cursors: Vec<_> = self.nodes.iter().map(|_| Rc::new(Cell::new(0))).collect();
        let source = |node: usize, _| Source::Each(cursors[node].clone());
        let errors = self.run_loops(&none, Recorder::new(&none), Some(progress.clone()), source).await?.into_errors();
        progress.finish_and_clear();
        match errors.iter().next() {
            None => Ok(()),
            Some((kind, count)) => Err(BenchError::Cluster(format!("{count} keys could not be loaded: {kind}"))),
        }
    }

    /// Runs a closed loop; `read_percent` of its requests are reads of random keys, the others writes.
    pub async fn run(&self, load: &Load, read_percent: u8) -> Result<Measured, BenchError> {
        let recorder = Recorder::new(load);
        let until = recorder.closes_at();
        let source = |_, connection: usize| {
            let random = SmallRng::seed_from_u64(connection as u64);
            Source::Random { random, read_percent, until }
        };
        Ok(self.run_loops(load, recorder, None, source).await?.measured())
    }

    async fn run_loops(
        &self,
        load: &Load,
        recorder: Recorder,
        progress: Option<ProgressBar>,
        source: impl Fn(usize, usize) -> Source,
    ) -> Result<Recorder, BenchError> {
        let value = Bytes::from(vec![b'v'; self.data.value_bytes]);
        let recorder = Rc::new(RefCell::new(recorder));
        let tasks = LocalSet::new();
        let mut loops = Vec::new();
        for i in 0..load.clients {
            let node = i % self.nodes.len();
            let Node { address, keys } = &self.nodes[node];
            let connection = Connection::open(address).await?;
            loops.push(Loop {
                source: source(node, i),
                keys: keys.clone(),
                value: value.clone(),
                options: self.data.options.clone(),
                recorder: recorder.clone(),
                progress: progress.clone(),
                sent: vec![Instant::now(); load.in_flight],
                connection,
            });
        }
        for one in loops {
            tasks.spawn_local(one.run());
        }
        tasks.await;
        Ok(Rc::into_inner(recorder).expect("all loops have ended").into_inner())
    }
}

/// Whether every one of `servers` sees all others up; if not, why.
pub async fn check_ready(servers: &[String]) -> Result<(), BenchError> {
    for server in servers {
        let peers = status(server).await?.peers;
        if peers.len() + 1 < servers.len() || peers.iter().any(|p| !p.up) {
            return Err(BenchError::Cluster(format!("{server} does not see all its peers")));
        }
    }
    Ok(())
}

async fn status(server: &str) -> Result<StatusReport, BenchError> {
    match Connection::open(server).await?.inspect(Inspect::Status).await? {
        Inspection::Status(report) => Ok(report),
        _ => Err(BenchError::Cluster(format!("{server} showed something else than its status"))),
    }
}

async fn learn(servers: &[String]) -> Result<RingReport, BenchError> {
    let mut failed = Vec::new();
    for server in servers {
        let shown = match Connection::open(server).await {
            Ok(mut connection) => connection.inspect(Inspect::Ring).await,
            Err(error) => Err(error),
        };
        match shown {
            Ok(Inspection::Ring(report)) => return Ok(report),
            Ok(_) => failed.push(format!("{server} showed something else than the ring")),
            Err(error) => failed.push(error.to_string()),
        }
    }
    Err(BenchError::Cluster(failed.join("; ")))
}

/// The nodes that `clients` connections go to, and which keys to send there.
fn route(ring: &Ring, n: u8, clients: usize, keys: impl Iterator<Item = Key>) -> Vec<Node> {
    let connected: Vec<_> = ring.members().iter().filter(|m| m.weight > 0).take(clients).collect();
    let mut routed = vec![Vec::new(); connected.len()];
    for (i, key) in keys.enumerate() {
        let partition = ring.partition_of(&key);
        let owners: Vec<usize> =
            (0..connected.len()).filter(|&c| ring.owns(connected[c].store, partition, n)).collect();
        // A key none of whose owners has a connection is forwarded by whichever node gets it.
        let node = if owners.is_empty() { i % connected.len() } else { owners[i % owners.len()] };
        routed[node].push(key);
    }
    let nodes = connected.iter().zip(routed).filter(|(_, keys)| !keys.is_empty());
    nodes.map(|(member, keys)| Node { address: member.address.clone(), keys: keys.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::fake_node::FakeNode;
    use super::*;

    const LOAD: Load =
        Load { clients: 4, in_flight: 3, warmup: Duration::from_millis(20), measured: Duration::from_millis(200) };

    fn data(keys: usize) -> Data {
        Data { keys, value_bytes: 10, options: Options::default() }
    }

    async fn measure(node: FakeNode, read_percent: u8, loaded: bool) -> Measured {
        let server = [node.start().await];
        let driver = Driver::new(&server, LOAD.clients, data(100)).await.unwrap();
        if loaded {
            driver.load(LOAD.clients).await.unwrap();
        }
        driver.run(&LOAD, read_percent).await.unwrap()
    }

    #[tokio::test]
    async fn loads_every_key_then_reads_them() {
        let measured = measure(FakeNode::default(), 100, true).await;
        assert!(measured.ops > 0 && measured.errors.is_empty(), "{measured:?}");
    }

    #[tokio::test]
    async fn a_key_that_was_not_loaded_is_an_error() {
        let measured = measure(FakeNode::default(), 100, false).await;
        assert_eq!(measured.errors.keys().collect::<Vec<_>>(), ["not found"]);
        assert_eq!(measured.ops, 0);
    }

    #[tokio::test]
    async fn errors_are_counted_by_kind() {
        let node = FakeNode { refuse_every: Some(5), ..FakeNode::default() };
        let measured = measure(node, 0, false).await;
        assert_eq!(measured.errors.keys().collect::<Vec<_>>(), ["overloaded"]);
        assert!(measured.ops > 0);
    }

    #[tokio::test]
    async fn a_lost_connection_is_told() {
        let node = FakeNode { hang_up_after: Some(40), ..FakeNode::default() };
        let measured = measure(node, 0, false).await;
        assert!(measured.errors["connection lost"] > 0, "{measured:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_server() {
        let error = Driver::new(&["127.0.0.1:1".into()], 1, data(1)).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
