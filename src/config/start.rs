//! The ways to a configuration: files, a server list, a node of a running cluster, or nothing at all.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::core::id::NodeId;
use crate::core::ring::REPLICATION_DEFAULT;
use crate::wire::servers::parse_servers;

use super::Config;
use super::cluster::{ClusterConfig, NodeEntry};
use super::complaint::Complaint;
use super::coordination::CoordinationConfig;
use super::node::NodeConfig;
use super::problem::{ConfigError, Place, Problem, Problems};
use super::source::Source;
use super::table::read_file;

/// Where a node listens that was given nothing at all.
const DEV_LISTEN: &str = "127.0.0.1:8000";

/// What flags and environment say instead of the file. Paths are relative to the current folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// `--id`, `KV_ID`.
    pub id: Option<NodeId>,
    /// `--listen`, `KV_LISTEN`.
    pub listen: Option<String>,
    /// `--data-dir`, `KV_DATA_DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--insecure`: can only add to the file's.
    pub insecure: bool,
    /// `--join`, `KV_JOIN`: nodes of a running cluster, instead of the file's `join`.
    pub join: Vec<String>,
}

impl Overrides {
    fn apply(&self, node: &mut NodeConfig, source: &mut Source) {
        if let Some(id) = self.id {
            node.id = id;
            source.overridden("id", "--id (KV_ID)");
        }
        if let Some(listen) = &self.listen {
            node.listen.clone_from(listen);
            source.overridden("listen", "--listen (KV_LISTEN)");
        }
        if let Some(data_dir) = &self.data_dir {
            node.data_dir.clone_from(data_dir);
            source.overridden("data_dir", "--data-dir (KV_DATA_DIR)");
        }
        if !self.join.is_empty() {
            node.join.clone_from(&self.join);
            source.overridden("join", "--join (KV_JOIN)");
        }
        node.insecure |= self.insecure;
    }
}

impl Config {
    /// Reads a node's file, and the cluster's if it names one.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut problems = Problems::default();
        let file = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let complaint = Complaint::Unreadable(reason(&error));
                problems.push(Problem { place: Place::File(file), key: String::new(), complaint });
                return problems.into_result(Config::default());
            }
        };
        let mut config = Config::default();
        let mut cluster_file = PathBuf::new();
        let read = read_file(&file, &text, &mut problems, |table| config.node.read(&mut cluster_file, table));
        let Some(mut source) = read else { return problems.into_result(config) };
        let folder = path.parent().unwrap_or(Path::new(""));
        config.node.data_dir = folder.join(&config.node.data_dir);
        overrides.apply(&mut config.node, &mut source);
        config.node.check(&source, &mut problems);
        if source.has("join") {
            config.cluster = ClusterConfig::unknown();
            config.check_joining(&source, &mut problems);
            return problems.into_result(config);
        }
        let usable = source.has("cluster") && config.read_cluster(&folder.join(cluster_file), &source, &mut problems);
        // A node that is not known cannot be compared with its entry.
        if usable && !problems.about("id") {
            config.node.complete(&config.cluster, &source);
            config.node.check_place(&config.cluster, &source, &mut problems);
        }
        problems.into_result(config)
    }

    fn check_joining(&mut self, source: &Source, problems: &mut Problems) {
        self.node.complete(&self.cluster, source);
        // What is missing cannot be judged, nor can what follows from it.
        if source.has("listen") {
            self.node.check_joining(source, problems);
        }
    }

    /// Reads the cluster's file; whether a node can be judged by it.
    fn read_cluster(&mut self, path: &Path, named_by: &Source, problems: &mut Problems) -> bool {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let complaint =
                    Complaint::UnreadableCluster { file: path.display().to_string(), reason: reason(&error) };
                problems.push(named_by.problem("cluster", complaint));
                return false;
            }
        };
        let mut own = Problems::default();
        if let Some(source) = read_file(&path.display().to_string(), &text, &mut own, |table| self.cluster.read(table))
        {
            self.cluster.check(&source, &mut own);
        }
        let usable = own.is_empty();
        problems.extend(own);
        usable
    }

    /// The short form: node `id` listens at `listen` in the cluster that `servers` lists as `1|host:port,2|host:port`.
    /// The nodes make the cluster if there is none. Replication is 3, or the number of nodes if they are fewer. Data is in `data/node1` (by id) under the current folder. Of
    /// `overrides`, id, listen address and whom to join do not count.
    pub fn from_servers(id: NodeId, listen: &str, servers: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut problems = Problems::default();
        let mut source = Source::default();
        for (key, argument) in [("id", "ID"), ("listen", "LISTEN"), ("servers", "SERVERS")] {
            source.overridden(key, argument);
        }
        let servers = match parse_servers(servers) {
            Ok(servers) => servers,
            Err(error) => {
                problems.push(source.problem("servers", error.into()));
                return problems.into_result(Config::default());
            }
        };
        let replication = servers.len().min(REPLICATION_DEFAULT.into()) as u8;
        let nodes = servers.into_iter().map(|(id, address)| NodeEntry::new(id, address)).collect();
        let coordination = CoordinationConfig { bootstrap: true, ..CoordinationConfig::default() };
        let cluster = ClusterConfig { replication, nodes, coordination, ..ClusterConfig::default() };
        let mut config = Config { cluster, ..Config::default() };
        config.node.id = id;
        config.node.listen = listen.into();
        let overrides = Overrides { id: None, listen: None, join: Vec::new(), ..overrides.clone() };
        overrides.apply(&mut config.node, &mut source);
        if overrides.data_dir.is_none() {
            config.node.data_dir = format!("data/node{}", config.node.id).into();
        }
        config.node.complete(&config.cluster, &source);
        config.node.check_place(&config.cluster, &source, &mut problems);
        problems.into_result(config)
    }

    /// A node that joins a running cluster by asking one of `overrides.join`, without a file. Where it listens and where its
    /// data is must be given too; it is reached where it listens.
    pub fn join(overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut problems = Problems::default();
        let mut source = Source::new("command line");
        let mut config = Config { cluster: ClusterConfig::unknown(), ..Config::default() };
        overrides.apply(&mut config.node, &mut source);
        config.node.check(&source, &mut problems);
        config.check_joining(&source, &mut problems);
        problems.into_result(config)
    }

    /// A single node for trying things out, with its data in `data_dir` unless `overrides` says otherwise. It listens on
    /// port 8000; asked for port 0, it takes a free one.
    pub fn dev(data_dir: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let mut source = Source::default();
        config.node.listen = DEV_LISTEN.into();
        config.node.data_dir = data_dir.into();
        let overrides = Overrides { join: Vec::new(), ..overrides.clone() };
        overrides.apply(&mut config.node, &mut source);
        if let Some(port) = config.node.listen.strip_suffix(":0").and_then(|host| free_port(host).ok()) {
            let host_length = config.node.listen.len() - 1;
            config.node.listen.replace_range(host_length.., &port.to_string());
        }
        let nodes = vec![NodeEntry::new(config.node.id, &config.node.listen)];
        let coordination = CoordinationConfig { bootstrap: true, ..CoordinationConfig::default() };
        let name = "dev".into();
        config.cluster = ClusterConfig { name, replication: 1, nodes, coordination, ..ClusterConfig::default() };
        config.node.advertise.clone_from(&config.node.listen);
        let mut problems = Problems::default();
        config.node.check_place(&config.cluster, &source, &mut problems);
        problems.into_result(config)
    }
}

/// A port that is free now. Whoever is quicker may take it before the node does, and then the node says so.
fn free_port(host: &str) -> io::Result<u16> {
    Ok(TcpListener::bind((host.trim_matches(['[', ']']), 0))?.local_addr()?.port())
}

/// The system's words without its error number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
