//! What is one node's own: `node1.toml` and the like.

use std::path::PathBuf;

use crate::core::id::NodeId;
use crate::wire::servers::split_address;

use super::anti_entropy::AntiEntropyConfig;
use super::cluster::{ClusterConfig, NodeEntry, WEIGHT_DEFAULT, WEIGHT_MAX, ZONE_DEFAULT};
use super::complaint::Complaint;
use super::hints::HintsConfig;
use super::limits::NodeLimits;
use super::network::{is_loopback, is_unspecified};
use super::problem::Problems;
use super::reap::ReapConfig;
use super::source::Source;
use super::storage::StorageConfig;
use super::table::Table;
use super::timing::Timing;
use super::transfer::TransferConfig;

/// One node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// Its number in the node list. 0 of a node that joins and leaves it to the cluster to give it one.
    pub id: NodeId,
    /// Nodes of a running cluster, `host:port`, to ask one after the other for its membership. Empty: this node is listed
    /// in the cluster's file.
    pub join: Vec<String>,
    /// The zone in which it joins. Of a listed node it stands in the list.
    pub zone: String,
    /// The weight with which it joins. Of a listed node it stands in the list.
    pub weight: u32,
    /// Where it listens, `host:port`. A node that cannot listen there does not start ([`super::ListenError`]).
    pub listen: String,
    /// Where the others reach it: its address in the node list; of a node that joins by default where it listens.
    pub advertise: String,
    /// Where its bytes are. Made if it is not there; a relative path in a file is relative to that file.
    pub data_dir: PathBuf,
    /// Whether it may listen where other machines can reach it, although links are neither encrypted nor authenticated yet.
    pub insecure: bool,
    /// Threads with an event loop each, over which partitions and connections are spread. 0 is one per core.
    pub arbiters: u16,
    /// How its bytes are kept.
    pub storage: StorageConfig,
    /// How much it takes on.
    pub limits: NodeLimits,
    /// How long things take.
    pub timing: Timing,
    /// How much the moving of partitions may take.
    pub transfer: TransferConfig,
    /// How much it keeps for others that are down.
    pub hints: HintsConfig,
    /// When what was deleted may be forgotten.
    pub reap: ReapConfig,
    /// When it compares its partitions with other owners.
    pub anti_entropy: AntiEntropyConfig,
}

impl Default for NodeConfig {
    /// Node 1 of the local cluster.
    fn default() -> Self {
        NodeConfig {
            id: NodeId(1),
            join: Vec::new(),
            zone: ZONE_DEFAULT.into(),
            weight: WEIGHT_DEFAULT,
            listen: "127.0.0.1:8000".into(),
            advertise: "127.0.0.1:8000".into(),
            data_dir: "data/node1".into(),
            insecure: false,
            arbiters: 0,
            storage: StorageConfig::default(),
            limits: NodeLimits::default(),
            timing: Timing::default(),
            transfer: TransferConfig::default(),
            hints: HintsConfig::default(),
            reap: ReapConfig::default(),
            anti_entropy: AntiEntropyConfig::default(),
        }
    }
}

impl NodeConfig {
    /// Whether it is to ask a running cluster for its membership.
    pub fn joins(&self) -> bool {
        !self.join.is_empty()
    }

    /// What a node that joins says of itself.
    pub fn entry(&self) -> NodeEntry {
        NodeEntry { id: self.id, address: self.advertise.clone(), zone: self.zone.clone(), weight: self.weight }
    }

    pub(super) fn read(&mut self, cluster: &mut PathBuf, table: &mut Table) {
        table.path("cluster", cluster);
        table.value("join", &mut self.join, "a list of host:port, as in [\"10.0.0.1:8000\"]", |value| {
            let seeds = value.as_array().filter(|seeds| !seeds.is_empty())?.iter();
            seeds.map(|seed| seed.get_ref().as_str().map(String::from)).collect()
        });
        table.number("id", &mut self.id.0, 1..=u32::MAX.into(), "a node's number");
        table.text("listen", &mut self.listen);
        table.text("advertise", &mut self.advertise);
        table.path("data_dir", &mut self.data_dir);
        table.text("zone", &mut self.zone);
        table.number("weight", &mut self.weight, 0..=WEIGHT_MAX, "a weight");
        table.flag("insecure", &mut self.insecure);
        table.number("arbiters", &mut self.arbiters, 0..=1024, "a number of threads");
        table.section("storage", |table| self.storage.read(table));
        table.section("limits", |table| self.limits.read(table));
        table.section("timing", |table| self.timing.read(table));
        table.section("transfer", |table| self.transfer.read(table));
        table.section("hints", |table| self.hints.read(table));
        table.section("reap", |table| self.reap.read(table));
        table.section("anti_entropy", |table| self.anti_entropy.read(table));
    }

    /// What was left out and follows from the rest. A listed node is reached, and listens, at its address in the list; one
    /// that joins is reached where it listens, and has no number yet.
    pub(super) fn complete(&mut self, cluster: &ClusterConfig, source: &Source) {
        if self.joins() {
            if !source.has("advertise") {
                self.advertise.clone_from(&self.listen);
            }
            if !source.has("id") {
                self.id = NodeId(0);
            }
        } else if let Some(entry) = cluster.node(self.id) {
            for (key, value) in [("advertise", &mut self.advertise), ("listen", &mut self.listen)] {
                if !source.has(key) {
                    value.clone_from(&entry.address);
                }
            }
        }
    }

    /// What can be judged without the node list.
    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        let joins = source.has("join");
        for (key, needed, right) in [
            ("cluster", !joins, "the path of cluster.toml, relative to this file; or join, to join a running cluster"),
            ("id", !joins, "the node's number in the node list (or --id)"),
            ("listen", joins && !source.has("cluster"), "host:port to listen on (or --listen)"),
            ("data_dir", true, "the folder for this node's data, relative to this file (or --data-dir)"),
        ] {
            if needed && !source.has(key) {
                problems.push(source.problem(key, Complaint::Missing(right)));
            }
        }
        if joins && source.has("cluster") {
            problems.push(source.problem("join", Complaint::JoinWithCluster));
        }
        for key in ["zone", "weight"] {
            if !joins && source.has(key) {
                problems.push(source.problem(key, Complaint::OnlyToJoin));
            }
        }
        self.limits.check(source, problems);
        self.timing.check(source, problems);
        self.hints.check(source, problems);
        self.anti_entropy.check(source, problems);
    }

    /// What a node that joins says of where it is, after [`NodeConfig::complete`].
    pub(super) fn check_joining(&self, source: &Source, problems: &mut Problems) {
        if let Some(bad) = self.join.iter().find_map(|seed| split_address(seed).err()) {
            problems.push(source.problem("join", bad.into()));
        }
        self.check_listen(source, problems);
        match split_address(&self.advertise) {
            Err(_) if !source.has("advertise") => {}
            Err(bad) => problems.push(source.problem("advertise", bad.into())),
            Ok((host, _)) if is_unspecified(host) => {
                problems.push(source.problem("advertise", Complaint::AdvertiseUnspecified(self.listen.clone())));
            }
            Ok(_) => {}
        }
    }

    /// What the node list decides, after [`NodeConfig::complete`].
    pub(super) fn check_place(&self, cluster: &ClusterConfig, source: &Source, problems: &mut Problems) {
        let Some(entry) = cluster.node(self.id) else {
            let listed: Vec<String> = cluster.nodes.iter().map(|node| node.id.to_string()).collect();
            let complaint = Complaint::NotListed { id: self.id, listed: listed.join(", ") };
            return problems.push(source.problem("id", complaint));
        };
        if !self.advertise.eq_ignore_ascii_case(&entry.address) {
            let (advertise, listed) = (self.advertise.clone(), entry.address.clone());
            let complaint = Complaint::AdvertiseDiffers { advertise, id: self.id, listed };
            problems.push(source.problem("advertise", complaint));
        }
        self.check_listen(source, problems);
        let limit = self.limits.object.bucket_bytes_max;
        if let Some(name) = cluster.buckets.keys().find(|name| name.len() > limit as usize) {
            let complaint = Complaint::BucketNameTooLong { name: name.clone(), limit };
            problems.push(source.problem("limits.bucket_bytes_max", complaint));
        }
    }

    fn check_listen(&self, source: &Source, problems: &mut Problems) {
        match split_address(&self.listen) {
            Err(bad) => problems.push(source.problem("listen", bad.into())),
            Ok((host, _)) if !self.insecure && !is_loopback(host) => {
                problems.push(source.problem("listen", Complaint::BeyondLoopback(self.listen.clone())));
            }
            Ok(_) => {}
        }
    }
}
