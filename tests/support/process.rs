//! A cluster of real `kv-server` processes, to be killed, paused and started again.
//!
//! Each gets a configuration file, a free port and a data directory below a temporary one; what it says goes to a log
//! file, of which the end is printed when a test fails. Dropped, all are killed and everything is deleted. `story.rs` has what
//! waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use kv::testing::free_addresses;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

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
    /// Where nodes listen that others reach elsewhere, and where that is: behind a relay.
    pub behind: BTreeMap<u32, Behind>,
    /// Directories for the data of some nodes: disks of their own.
    pub disks: BTreeMap<u32, PathBuf>,
}

/// A node that is not reached where it listens.
#[derive(Clone, Debug)]
pub struct Behind {
    /// Where it listens.
    pub listen: String,
    /// Where others reach it.
    pub address: String,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            nodes: 3,
            own: String::new(),
            sync: "always",
            coordination: String::new(),
            partitions: 64,
            behind: BTreeMap::new(),
            disks: BTreeMap::new(),
        }
    }
}

/// The processes and their directory.
pub struct Cluster {
    directory: TempDir,
    /// Where each node is reached.
    pub addresses: BTreeMap<u32, String>,
    /// Nodes without a file, and whom they ask to join.
    pub joined: BTreeMap<u32, String>,
    /// The processes, of which one may have ended by itself.
    pub running: BTreeMap<u32, Child>,
    /// Those of them that are stopped by SIGSTOP.
    pub paused: BTreeSet<u32>,
    disks: BTreeMap<u32, PathBuf>,
    /// Added to that of the processes.
    pub environment: Vec<(&'static str, OsString)>,
}

impl Cluster {
    /// Writes the files and starts nothing.
    pub fn prepare(setup: Setup) -> Cluster {
        let directory = TempDir::with_prefix("kv-cluster-").unwrap();
        let mut addresses: BTreeMap<u32, String> = (1..).zip(free_addresses(setup.nodes as usize).unwrap()).collect();
        addresses.extend(setup.behind.iter().map(|(id, behind)| (*id, behind.address.clone())));
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
            disks: setup.disks,
            environment: Vec::new(),
        };
        fs::create_dir(cluster.root()).unwrap();
        fs::write(cluster.path("cluster.toml"), shared).unwrap();
        for id in cluster.ids() {
            // Two arbiters, so that keys are pinned elsewhere than connections.
            let data = cluster.data(id);
            let top =
                format!("cluster = \"cluster.toml\"\nid = {id}\ndata_dir = \"{}\"\narbiters = 2\n", data.display());
            let listen = setup.behind.get(&id).map_or(String::new(), |at| format!("listen = \"{}\"\n", at.listen));
            let own = format!("{top}{listen}[storage]\nsync = \"{}\"\n{}", setup.sync, setup.own);
            fs::write(cluster.config(id), own).unwrap();
        }
        cluster
    }

    /// All ids, of running nodes and others.
    pub fn ids(&self) -> Vec<u32> {
        self.addresses.keys().copied().collect()
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
        self.disks.get(&id).unwrap_or(&self.root()).join(format!("node{id}"))
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

    /// The arguments of a node that joins: where it listens, where its data is, and whom it asks.
    fn joining(&self, command: &mut Command, seed: &str, id: u32) {
        command.args(["--join", seed, "--listen", &self.addresses[&id]]).arg("--data-dir").arg(self.data(id));
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

    /// SIGKILL, without a warning.
    pub fn kill(&mut self, ids: &[u32]) {
        ids.iter().for_each(|id| self.signal(*id, Signal::KILL));
        for id in ids {
            self.paused.remove(id);
            self.running.remove(id).unwrap().wait().unwrap();
        }
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

    /// Deletes a node's data.
    pub fn wipe(&self, id: u32) {
        fs::remove_dir_all(self.data(id)).unwrap();
    }

    /// A node whose process has ended by itself, and how it did.
    pub fn ended(&mut self) -> Option<(u32, ExitStatus)> {
        self.running.iter_mut().find_map(|(id, child)| Some((*id, child.try_wait().unwrap()?)))
    }

    /// Sends a signal to a node's process.
    pub fn signal(&self, id: u32, signal: Signal) {
        kill_process(Pid::from_child(&self.running[&id]), signal).unwrap();
    }

    /// The file that holds it.
    pub fn log_path(&self, id: u32) -> PathBuf {
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

fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}
