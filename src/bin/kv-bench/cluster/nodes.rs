//! Three `kv-server` processes with generated configuration in a directory of their own.

use std::fmt;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;

use crate::BenchError;
use crate::driver;

/// How many.
const NODES: u32 = 3;
/// How long they may take to find each other.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often they are asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// `storage.sync` of the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// A write is acknowledged once it is on disk.
    Always,
    /// The system writes it at leisure.
    Never,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Sync::Always => "always",
            Sync::Never => "never",
        })
    }
}

/// What all nodes share, as `kv-server` reads it.
#[derive(Serialize)]
struct ClusterFile {
    name: &'static str,
    partitions: u32,
    replication: u8,
    nodes: Vec<NodeEntry>,
    coordination: CoordinationTable,
}

#[derive(Serialize)]
struct CoordinationTable {
    bootstrap: bool,
}

#[derive(Serialize)]
struct NodeEntry {
    id: u32,
    address: String,
}

/// What is one node's own.
#[derive(Serialize)]
struct NodeFile {
    cluster: &'static str,
    id: u32,
    listen: String,
    advertise: String,
    data_dir: PathBuf,
    arbiters: u16,
    storage: StorageTable,
}

#[derive(Serialize)]
struct StorageTable {
    sync: Sync,
}

/// The processes and their directory. Killed and removed when dropped.
pub struct Nodes {
    processes: Vec<Child>,
    addresses: Vec<String>,
    directory: TempDir,
}

impl Nodes {
    /// Starts them, with their data below a directory or in the system's temporary one. They may not serve yet.
    pub fn start(sync: Sync, below: Option<&Path>) -> Result<Nodes, BenchError> {
        let made = match below {
            Some(below) => TempDir::with_prefix_in("kv-bench-", below),
            None => TempDir::with_prefix("kv-bench-"),
        };
        let directory = made.map_err(BenchError::io("make a directory for the nodes"))?;
        let addresses = free_addresses().map_err(BenchError::io("find free ports"))?;
        let mut nodes = Nodes { processes: Vec::new(), addresses, directory };
        nodes.write_files(sync).map_err(BenchError::io("write the nodes' configuration"))?;
        let server = std::env::current_exe().map_err(BenchError::io("find this program"))?.with_file_name("kv-server");
        for id in 1..=NODES {
            let process = nodes.spawn(&server, id).map_err(BenchError::io(format!("start {}", server.display())))?;
            nodes.processes.push(process);
        }
        Ok(nodes)
    }

    /// Waits until each of them sees all others.
    pub async fn wait_until_ready(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let Err(reason) = driver::check_ready(&self.addresses).await else { return Ok(()) };
            let ended = self.processes.iter_mut().any(|p| !matches!(p.try_wait(), Ok(None)));
            if ended || Instant::now() >= deadline {
                let verdict = if ended { "a node has ended" } else { "the nodes are not ready" };
                return Err(BenchError::Cluster(format!("{verdict}: {reason}\n{}", self.last_words())));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Where they listen.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    fn write_files(&self, sync: Sync) -> std::io::Result<()> {
        let entries = (1..).zip(&self.addresses).map(|(id, address)| NodeEntry { id, address: address.clone() });
        let coordination = CoordinationTable { bootstrap: true };
        let cluster =
            ClusterFile { name: "bench", partitions: 256, replication: 3, nodes: entries.collect(), coordination };
        fs::write(self.directory.path().join("cluster.toml"), to_toml(&cluster))?;
        for (id, address) in (1..).zip(&self.addresses) {
            let node = NodeFile {
                cluster: "cluster.toml",
                id,
                listen: address.clone(),
                advertise: address.clone(),
                data_dir: self.directory.path().join(format!("data{id}")),
                arbiters: 1,
                storage: StorageTable { sync },
            };
            fs::write(self.file(id, "toml"), to_toml(&node))?;
        }
        Ok(())
    }

    fn spawn(&self, server: &Path, id: u32) -> std::io::Result<Child> {
        let log = File::create(self.file(id, "log"))?;
        Command::new(server)
            .arg("--config")
            .arg(self.file(id, "toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    fn file(&self, id: u32, extension: &str) -> PathBuf {
        self.directory.path().join(format!("node{id}.{extension}"))
    }

    /// The end of each node's log, for when they do not come up.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for id in 1..=NODES {
            let log = fs::read_to_string(self.file(id, "log")).unwrap_or_else(|error| error.to_string());
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(5)..];
            tail.iter().for_each(|line| words += &format!("node {id}: {line}\n"));
        }
        words
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Ports that were free a moment ago, all different.
fn free_addresses() -> std::io::Result<Vec<String>> {
    let listeners: Vec<TcpListener> =
        (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|l| l.local_addr().map(|a| a.to_string())).collect()
}

fn to_toml(file: &impl Serialize) -> String {
    toml::to_string(file).expect("configuration files are plain tables")
}
