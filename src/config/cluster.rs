//! What all nodes share: `cluster.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::core::bucket::Bucket;
use crate::core::id::NodeId;
use crate::core::key::DEFAULT_BUCKET;
use crate::core::ring::{PARTITIONS_DEFAULT, PARTITIONS_MAX, REPLICATION_DEFAULT};
use crate::wire::servers::split_address;

use super::buckets;
use super::complaint::Complaint;
use super::coordination::CoordinationConfig;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

/// The largest weight.
pub(super) const WEIGHT_MAX: i64 = 10_000;

/// The zone of a node that names none.
pub(super) const ZONE_DEFAULT: &str = "default";

/// The share of a node that names none.
pub(super) const WEIGHT_DEFAULT: u32 = 100;

/// The cluster that a node belongs to, as it is when it is made. The same on every node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterConfig {
    /// Its name. Each handshake checks it, so that two clusters never mix.
    pub name: String,
    /// Q: into how many equal parts the token space is cut, a power of two up to 65,536. Fixed when the cluster is made;
    /// some ten times the number of nodes that it may ever have.
    pub partitions: u32,
    /// Owners of each partition, and so the most replicas that a bucket may ask for.
    pub replication: u8,
    /// All members, in the order in which they are listed.
    pub nodes: Vec<NodeEntry>,
    /// Properties of buckets by name; [`ClusterConfig::bucket`] knows what holds for those without.
    pub buckets: BTreeMap<String, Bucket>,
    /// What keeps all this once the cluster is made.
    pub coordination: CoordinationConfig,
}

/// A member, as all others know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEntry {
    /// Its number, from 1.
    pub id: NodeId,
    /// Where others reach it, `host:port`. A name is resolved again at each reconnect.
    pub address: String,
    /// Members of one zone fail together; the owners of a partition are spread over zones.
    pub zone: String,
    /// Its share of the partitions relative to the others'; 0 owns nothing.
    pub weight: u32,
}

impl NodeEntry {
    /// A member like any other.
    pub fn new(id: NodeId, address: impl Into<String>) -> NodeEntry {
        NodeEntry { id, address: address.into(), zone: ZONE_DEFAULT.into(), weight: WEIGHT_DEFAULT }
    }
}

impl Default for ClusterConfig {
    /// The local cluster: three nodes on this machine, at ports 8000 to 8002.
    fn default() -> Self {
        ClusterConfig {
            name: "kv".into(),
            partitions: PARTITIONS_DEFAULT,
            replication: REPLICATION_DEFAULT,
            nodes: (1..=3).map(|id| NodeEntry::new(NodeId(id), format!("127.0.0.1:{}", 7999 + id))).collect(),
            buckets: BTreeMap::from([(DEFAULT_BUCKET.into(), Bucket::default())]),
            coordination: CoordinationConfig::default(),
        }
    }
}

impl ClusterConfig {
    /// The cluster of a node that has still to ask which it is: without a name and without nodes.
    pub fn unknown() -> ClusterConfig {
        ClusterConfig { name: String::new(), nodes: Vec::new(), ..ClusterConfig::default() }
    }

    /// What holds for a bucket: its own table; else that of `default`, which also serves bare keys; else the built-in
    /// properties. (What a bucket's own table leaves out came from `default` when the file was read.)
    pub fn bucket(&self, name: &[u8]) -> &Bucket {
        static BUILT_IN: LazyLock<Bucket> = LazyLock::new(Bucket::default);
        let own = std::str::from_utf8(name).ok().and_then(|name| self.buckets.get(name));
        own.or_else(|| self.buckets.get(DEFAULT_BUCKET)).unwrap_or(&BUILT_IN)
    }

    /// The entry of a node.
    pub fn node(&self, id: NodeId) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(super) fn read(&mut self, table: &mut Table) {
        table.text("name", &mut self.name);
        table.require("name", "a name for the cluster, the same in every node's copy of this file");
        table.number("partitions", &mut self.partitions, 1..=PARTITIONS_MAX.into(), "a power of two");
        table.number("replication", &mut self.replication, 1..=255, "a number of copies");
        self.nodes.clear();
        table.sections("nodes", |_, entry| self.nodes.push(read_node(entry)));
        table.section("buckets", |table| buckets::read(&mut self.buckets, table));
        table.section("coordination", |table| self.coordination.read(table));
    }

    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        if !self.partitions.is_power_of_two() {
            let above = self.partitions.next_power_of_two();
            let complaint = Complaint::NotPowerOfTwo { partitions: self.partitions, below: above / 2, above };
            problems.push(source.problem("partitions", complaint));
        }
        self.check_nodes(source, problems);
        let owners = self.nodes.iter().filter(|node| node.weight > 0).count();
        if self.nodes.is_empty() {
            let right = "a [[nodes]] table with id and address for each node";
            problems.push(source.problem("nodes", Complaint::Missing(right)));
        } else if owners < self.replication.into() {
            let complaint = Complaint::TooFewNodes { replication: self.replication, nodes: owners };
            problems.push(source.problem("replication", complaint));
        }
        buckets::check(&self.buckets, self.replication, source, problems);
        self.check_coordination(source, problems);
    }

    fn check_nodes(&self, source: &Source, problems: &mut Problems) {
        for (i, node) in self.nodes.iter().enumerate() {
            let (id_key, address_key) = (format!("nodes[{i}].id"), format!("nodes[{i}].address"));
            if let Err(bad) = split_address(&node.address) {
                problems.push(source.problem(&address_key, bad.into()));
            }
            for (before, other) in self.nodes[..i].iter().enumerate() {
                let line = |key: &str| source.line(&format!("nodes[{before}].{key}")).unwrap_or_default();
                if other.id == node.id {
                    let complaint = Complaint::DuplicateId { id: node.id, line: line("id") };
                    problems.push(source.problem(&id_key, complaint));
                }
                if other.address.eq_ignore_ascii_case(&node.address) {
                    let address = node.address.clone();
                    let complaint = Complaint::DuplicateAddress { address, id: other.id, line: line("address") };
                    problems.push(source.problem(&address_key, complaint));
                }
            }
        }
    }
}

fn read_node(table: &mut Table) -> NodeEntry {
    let mut node = NodeEntry::new(NodeId(0), "");
    table.number("id", &mut node.id.0, 1..=u32::MAX.into(), "a node's number");
    table.require("id", "the node's number, from 1");
    table.text("address", &mut node.address);
    table.require("address", "host:port, where the other nodes reach it");
    table.text("zone", &mut node.zone);
    table.number("weight", &mut node.weight, 0..=WEIGHT_MAX, "a weight");
    node
}
