//! A cluster of real `kv-server` processes, to be killed, paused and started again.
//!
//! Each gets a configuration file, a free port and a data directory below a temporary one; what it says goes to a log
//! file, of which the end is printed when a test fails. Dropped, all are killed and everything is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::testing::{ClusterError, free_addresses, wait_until_linked, wait_until_ready};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::until;

/// How long nodes may take to find each other.
const LINKED_WITHIN: Duration = Duration::from_secs(30);
/// Lines of each log that are printed when a test fails.
const LAST_WORDS: usize = 15;

/// What a cluster is to be like.
pub struct Setup {
    /// How many nodes, with the ids from 1.
    pub nodes: u32,
    /// TOML that is added to each node's file: tables such as `[timing]`.
    pub own: String,
    /// `storage.sync`.
    pub sync: &'static str,
    /// Keys that are added to the table `[coordination]`, which has `bootstrap = true`.
    pub coordination: String,
    /// Q.
    pub partitions: u32,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { nodes: 3, own: String::new(), sync: "always", coordination: String::new(), partitions: 64 }
    }
}

/// The processes and their directory.
pub struct Cluster {
    directory: TempDir,
    addresses: BTreeMap<u32, String>,
    /// Nodes without a file, and whom they ask to join.
    joined: BTreeMap<u32, String>,
    running: BTreeMap<u32, Child>,
    paused: BTreeSet<u32>,
    /// Added to that of the processes.
    pub environment: Vec<(&'static str, OsString)>,
}

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

    /// Writes the files and starts nothing.
    pub fn prepare(setup: Setup) -> Cluster {
        let directory = TempDir::with_prefix("kv-cluster-").unwrap();
        let addresses: BTreeMap<u32, String> = (1..).zip(free_addresses(setup.nodes as usize).unwrap()).collect();
        let nodes = addresses.iter().map(|(id, address)| format!("[[nodes]]\nid = {id}\naddress = \"{address}\"\n"));
        let replication = setup.nodes.min(3);
        let shared = format!(
            "name = \"test\"\npartitions = {}\nreplication = {replication}\n[coordination]\nbootstrap = true\n{}{}",
            setup.partitions,
            setup.coordination,
            nodes.collect::<String>()
        );
        let cluster = Cluster {
            directory,
            addresses,
            joined: BTreeMap::new(),
            running: BTreeMap::new(),
            paused: BTreeSet::new(),
            environment: Vec::new(),
        };
        fs::create_dir(cluster.root()).unwrap();
        fs::write(cluster.path("cluster.toml"), shared).unwrap();
        for id in cluster.ids() {
            // Two arbiters, so that keys are pinned elsewhere than connections.
            let top = format!("cluster = \"cluster.toml\"\nid = {id}\ndata_dir = \"data/node{id}\"\narbiters = 2\n");
            let own = format!("{top}[storage]\nsync = \"{}\"\n{}", setup.sync, setup.own);
            fs::write(cluster.config(id), own).unwrap();
        }
        cluster
    }

    /// All ids, of running nodes and others.
    pub fn ids(&self) -> Vec<u32> {
        self.addresses.keys().copied().collect()
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

    /// Something in the cluster's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory that holds all data.
    pub fn root(&self) -> PathBuf {
        self.path("data")
    }

    /// A node's own data.
    pub fn data(&self, id: u32) -> PathBuf {
        self.root().join(format!("node{id}"))
    }

    /// A node's file.
    pub fn config(&self, id: u32) -> PathBuf {
        self.path(&format!("node{id}.toml"))
    }

    /// All that a node has said since its first start.
    pub fn log(&self, id: u32) -> String {
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    /// Starts a node, which then may not serve yet.
    pub fn run(&mut self, id: u32) {
        assert!(!self.running.contains_key(&id), "node {id} runs");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(id)).unwrap();
        let mut command = self.server(&log);
        match self.joined.get(&id) {
            Some(seed) => self.joining(&mut command, seed, id),
            None => _ = command.arg("--config").arg(self.config(id)),
        }
        command.envs(self.environment.iter().cloned());
        self.running.insert(id, command.spawn().unwrap());
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

    /// The arguments of a node that joins: where it listens, where its data is, and whom it asks.
    fn joining(&self, command: &mut Command, seed: &str, id: u32) {
        command.args(["--join", seed, "--listen", &self.addresses[&id]]).arg("--data-dir").arg(self.data(id));
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

    /// `kv-server` without arguments, saying what it has to say to `log`.
    pub fn server(&self, log: &File) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-server"));
        for variable in ["KV_CONFIG", "KV_ID", "KV_LISTEN", "KV_DATA_DIR", "KV_JOIN", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        command
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
        let Cluster { running, .. } = self;
        let an_end = async {
            loop {
                for (id, child) in running.iter_mut() {
                    if let Some(status) = child.try_wait().unwrap() {
                        return format!("node {id} has ended: {status}");
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            waited = waiting => waited.unwrap_or_else(|error| panic!("{error}")),
            ended = an_end => panic!("{ended}"),
        }
    }

    /// Waits for a node to end by itself.
    pub async fn ends(&mut self, id: u32) -> ExitStatus {
        self.paused.remove(&id);
        ended(&mut self.running.remove(&id).unwrap(), "it has nothing left to do").await
    }

    /// SIGKILL, without a warning.
    pub fn kill(&mut self, ids: &[u32]) {
        ids.iter().for_each(|id| self.signal(*id, Signal::KILL));
        for id in ids {
            self.paused.remove(id);
            self.running.remove(id).unwrap().wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self, id: u32) -> ExitStatus {
        self.signal(id, Signal::TERM);
        let mut child = self.running.remove(&id).unwrap();
        ended(&mut child, "SIGTERM was sent").await
    }

    /// SIGSTOP: the system goes on answering for its sockets, the node does not.
    pub fn pause(&mut self, id: u32) {
        self.signal(id, Signal::STOP);
        self.paused.insert(id);
    }

    /// SIGCONT.
    pub fn resume(&mut self, id: u32) {
        self.signal(id, Signal::CONT);
        self.paused.remove(&id);
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

    fn signal(&self, id: u32, signal: Signal) {
        kill_process(Pid::from_child(&self.running[&id]), signal).unwrap();
    }

    fn log_path(&self, id: u32) -> PathBuf {
        self.path(&format!("node{id}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for id in self.ids() {
                println!("--- the end of node {id}'s log\n{}", last_words(&self.log(id)));
            }
        }
    }
}

/// Waits for a process to end by itself.
async fn ended(child: &mut Child, why: &str) -> ExitStatus {
    until(&format!("the end of a process: {why}"), async || child.try_wait().unwrap()).await
}

fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}
