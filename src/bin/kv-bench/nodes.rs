//! `kv-server` processes with generated configuration in a directory of their own: three that make a cluster, and who joins it.

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

/// How many make the cluster.
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
    /// For those that make the cluster,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    /// and for those that join it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    join: Vec<String>,
    listen: String,
    advertise: String,
    data_dir: PathBuf,
    arbiters: u16,
    storage: StorageTable,
    transfer: TransferTable,
}

/// How fast partitions move; what is left out is as usual.
#[derive(Clone, Default, Serialize)]
pub struct TransferTable {
    /// Bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_s_max: Option<u64>,
    /// Percent of the time that a page may be under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_percent_max: Option<u32>,
}

#[derive(Serialize)]
struct StorageTable {
    sync: Sync,
}

/// The processes, where the `i`th is node `i + 1`, and their directory. Killed and removed when dropped.
pub struct Nodes {
    processes: Vec<Child>,
    addresses: Vec<String>,
    directory: TempDir,
    sync: Sync,
    transfer: TransferTable,
}

impl Nodes {
    /// Starts three, with their data below a directory or in the system's temporary one. They may not serve yet.
    pub fn start(sync: Sync, transfer: TransferTable, below: Option<&Path>) -> Result<Nodes, BenchError> {
        let made = match below {
            Some(below) => TempDir::with_prefix_in("kv-bench-", below),
            None => TempDir::with_prefix("kv-bench-"),
        };
        let directory = made.map_err(BenchError::io("make a directory for the nodes"))?;
        let addresses = free_addresses(NODES).map_err(BenchError::io("find free ports"))?;
        let mut nodes = Nodes { processes: Vec::new(), addresses, directory, sync, transfer };
        nodes.write_files().map_err(BenchError::io("write the nodes' configuration"))?;
        (1..=NODES).try_for_each(|id| nodes.spawn(id))?;
        Ok(nodes)
    }

    /// Starts one more, which becomes a member that owns nothing yet. Its number.
    pub fn join(&mut self) -> Result<u32, BenchError> {
        let id = self.addresses.len() as u32 + 1;
        self.addresses.extend(free_addresses(1).map_err(BenchError::io("find a free port"))?);
        self.write_file(id).map_err(BenchError::io("write the node's configuration"))?;
        self.spawn(id)?;
        Ok(id)
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

    fn write_files(&self) -> std::io::Result<()> {
        let entries = (1..).zip(&self.addresses).map(|(id, address)| NodeEntry { id, address: address.clone() });
        let coordination = CoordinationTable { bootstrap: true };
        let cluster =
            ClusterFile { name: "bench", partitions: 256, replication: 3, nodes: entries.collect(), coordination };
        fs::write(self.directory.path().join("cluster.toml"), to_toml(&cluster))?;
        (1..=NODES).try_for_each(|id| self.write_file(id))
    }

    fn write_file(&self, id: u32) -> std::io::Result<()> {
        let is_one_of_the_first = id <= NODES;
        let address = &self.addresses[id as usize - 1];
        let node = NodeFile {
            cluster: is_one_of_the_first.then_some("cluster.toml"),
            id: is_one_of_the_first.then_some(id),
            join: if is_one_of_the_first { vec![] } else { vec![self.addresses[0].clone()] },
            listen: address.clone(),
            advertise: address.clone(),
            data_dir: self.directory.path().join(format!("data{id}")),
            arbiters: 1,
            storage: StorageTable { sync: self.sync },
            transfer: self.transfer.clone(),
        };
        fs::write(self.file(id, "toml"), to_toml(&node))
    }

    fn spawn(&mut self, id: u32) -> Result<(), BenchError> {
        let server = std::env::current_exe().map_err(BenchError::io("find this program"))?.with_file_name("kv-server");
        let run = || {
            let log = File::create(self.file(id, "log"))?;
            Command::new(&server)
                .arg("--config")
                .arg(self.file(id, "toml"))
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
        };
        let process = run().map_err(BenchError::io(format!("start {}", server.display())))?;
        self.processes.push(process);
        Ok(())
    }

    fn file(&self, id: u32, extension: &str) -> PathBuf {
        self.directory.path().join(format!("node{id}.{extension}"))
    }

    /// The end of each node's log, for when they do not come up.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for id in 1..=self.addresses.len() as u32 {
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
fn free_addresses(count: u32) -> std::io::Result<Vec<String>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|l| l.local_addr().map(|a| a.to_string())).collect()
}

fn to_toml(file: &impl Serialize) -> String {
    toml::to_string(file).expect("configuration files are plain tables")
}
