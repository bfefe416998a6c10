//! What the test of a single story does with a cluster: waits until it is as it should be, has nodes join, stops them in order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::testing::{ClusterError, free_addresses, wait_until_linked, wait_until_ready};
use rustix::process::Signal;

use crate::process::{Cluster, Setup};
use crate::wait::until;

/// How long nodes may take to find each other.
const LINKED_WITHIN: Duration = Duration::from_secs(30);

impl Cluster {
    /// Starts three nodes as they are by default, and waits until they see each other.
    pub async fn start() -> Cluster {
        Cluster::start_with(Setup::default()).await
    }

    /// Starts other ones.
    pub async fn start_with(setup: Setup) -> Cluster {
        let mut cluster = Cluster::prepare(setup);
        cluster.run_all().await;
        cluster
    }

    /// Where a node listens.
    pub fn address(&self, id: u32) -> &str {
        &self.addresses[&id]
    }

    /// All nodes as `kv-cli` takes them.
    pub fn server_list(&self) -> String {
        let servers: Vec<_> = self.addresses.iter().map(|(id, address)| format!("{id}|{address}")).collect();
        servers.join(",")
    }

    /// Makes room for one more node, which has no file, and whose only hint is the address of the node `seed`. Started as all
    /// others are, each time with the same arguments.
    pub fn add(&mut self, seed: u32) -> u32 {
        let id = self.ids().last().unwrap() + 1;
        self.joined.insert(id, self.addresses[&seed].clone());
        self.addresses.insert(id, free_addresses(1).unwrap().remove(0));
        id
    }

    /// The same with a file, to which `own` is added: tables such as `[transfer]`.
    pub fn add_with(&mut self, seed: u32, own: &str) -> u32 {
        let id = self.add(seed);
        let (seed, address) = (self.joined.remove(&id).unwrap(), self.address(id));
        let top = format!("join = [\"{seed}\"]\nlisten = \"{address}\"\ndata_dir = \"data/node{id}\"\n{own}");
        fs::write(self.config(id), top).unwrap();
        id
    }

    /// Gives a node that joins another address to ask.
    pub fn point(&mut self, id: u32, seed: &str) {
        self.joined.insert(id, seed.into());
    }

    /// Starts all nodes that do not run, and waits until they see each other.
    pub async fn run_all(&mut self) {
        let stopped: Vec<u32> = self.ids().into_iter().filter(|id| !self.running.contains_key(id)).collect();
        stopped.into_iter().for_each(|id| self.run(id));
        self.wait_until_ready().await;
    }

    /// Starts a node and waits until it and the others see each other.
    pub async fn restart(&mut self, id: u32) {
        self.run(id);
        self.wait_until_linked().await;
    }

    /// Runs `kv-server` with a node's configuration and these arguments to its end, which must come by itself. Its exit
    /// code and all that it said.
    pub async fn run_to_its_end(&self, id: u32, arguments: &[&str]) -> (Option<i32>, String) {
        let path = self.path("refused.log");
        let log = File::create(&path).unwrap();
        let mut child = self.server(&log).arg("--config").arg(self.config(id)).args(arguments).spawn().unwrap();
        let status = ended(&mut child, "it was to refuse to start").await;
        (status.code(), fs::read_to_string(path).unwrap())
    }

    /// Waits until a node that runs ends by itself; how it did.
    pub async fn wait_for_end(&mut self, id: u32) -> ExitStatus {
        let mut child = self.running.remove(&id).unwrap();
        ended(&mut child, "it cannot go on").await
    }

    /// Waits for a node to end by itself.
    pub async fn ends(&mut self, id: u32) -> ExitStatus {
        self.paused.remove(&id);
        ended(&mut self.running.remove(&id).unwrap(), "it has nothing left to do").await
    }

    /// A client that knows all nodes.
    pub async fn client(&self) -> Client {
        Client::connect(self.addresses.values()).await.unwrap()
    }

    /// A client that takes no slowness of a busy machine for the death of a node.
    pub async fn patient_client(&self) -> Client {
        let patience = Duration::from_secs(60);
        let builder = Client::builder().servers(self.addresses.values()).timeout(patience).dead_after(patience);
        builder.connect().await.unwrap()
    }

    /// Waits until all nodes that run have links to each other, and know that the others are down.
    pub async fn wait_until_linked(&mut self) {
        let servers = self.awake();
        self.wait(wait_until_linked(&servers, LINKED_WITHIN)).await;
    }

    /// Waits until all nodes that run, of which there must be enough, serve strict requests as well.
    pub async fn wait_until_ready(&mut self) {
        let servers = self.awake();
        self.wait(wait_until_ready(&servers, LINKED_WITHIN)).await;
    }

    fn awake(&self) -> BTreeMap<NodeId, String> {
        let awake = self.running.keys().filter(|id| !self.paused.contains(id));
        awake.map(|id| (NodeId(*id), self.addresses[id].clone())).collect()
    }

    async fn wait(&mut self, waiting: impl Future<Output = Result<(), ClusterError>>) {
        let an_end = async {
            loop {
                if let Some((id, status)) = self.ended() {
                    return format!("node {id} has ended: {status}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            waited = waiting => waited.unwrap_or_else(|error| panic!("{error}")),
            ended = an_end => panic!("{ended}"),
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self, id: u32) -> ExitStatus {
        self.signal(id, Signal::TERM);
        let mut child = self.running.remove(&id).unwrap();
        ended(&mut child, "SIGTERM was sent").await
    }

    /// Kilobytes of memory that a node has in use, and the most that it ever asked the system for.
    pub fn memory_kb(&self, id: u32) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running[&id].id())).unwrap();
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (kilobytes("VmRSS:"), kilobytes("VmPeak:"))
    }

    /// The id of a node's process.
    pub fn pid(&self, id: u32) -> u32 {
        self.running[&id].id()
    }
}

/// Waits for a process to end by itself.
async fn ended(child: &mut Child, why: &str) -> ExitStatus {
    until(&format!("the end of a process: {why}"), async || child.try_wait().unwrap()).await
}
