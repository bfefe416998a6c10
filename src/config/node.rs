//! What is one node's own: `node1.toml` and the like.

use std::path::PathBuf;

use crate::core::id::NodeId;
use crate::wire::servers::split_address;

use super::cluster::ClusterConfig;
use super::limits::NodeLimits;
use super::network::is_loopback;
use super::problem::{Complaint, Problems};
use super::source::Source;
use super::storage::StorageConfig;
use super::table::Table;
use super::timing::Timing;

/// One node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// Its number in the node list.
    pub id: NodeId,
    /// Where it listens, `host:port`. A node that cannot listen there does not start ([`super::ListenError`]).
    pub listen: String,
    /// Where the others reach it: its address in the node list.
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
}

impl Default for NodeConfig {
    /// Node 1 of the local cluster.
    fn default() -> Self {
        NodeConfig {
            id: NodeId(1),
            listen: "127.0.0.1:8000".into(),
            advertise: "127.0.0.1:8000".into(),
            data_dir: "data/node1".into(),
            insecure: false,
            arbiters: 0,
            storage: StorageConfig::default(),
            limits: NodeLimits::default(),
            timing: Timing::default(),
        }
    }
}

impl NodeConfig {
    pub(super) fn read(&mut self, cluster: &mut PathBuf, table: &mut Table) {
        table.path("cluster", cluster);
        table.require("cluster", "the path of cluster.toml, relative to this file");
        table.number("id", &mut self.id.0, 1..=u32::MAX.into(), "a node's number");
        table.text("listen", &mut self.listen);
        table.text("advertise", &mut self.advertise);
        table.path("data_dir", &mut self.data_dir);
        table.flag("insecure", &mut self.insecure);
        table.number("arbiters", &mut self.arbiters, 0..=1024, "a number of threads");
        table.section("storage", |table| self.storage.read(table));
        table.section("limits", |table| self.limits.read(table));
        table.section("timing", |table| self.timing.read(table));
    }

    /// What was left out and follows from the node list: it is reached, and listens, at its address there.
    pub(super) fn complete(&mut self, cluster: &ClusterConfig, source: &Source) {
        if let Some(entry) = cluster.node(self.id) {
            for (key, value) in [("advertise", &mut self.advertise), ("listen", &mut self.listen)] {
                if !source.has(key) {
                    value.clone_from(&entry.address);
                }
            }
        }
    }

    /// What can be judged without the node list.
    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        for (key, right) in [
            ("id", "the node's number in the node list (or --id)"),
            ("data_dir", "the folder for this node's data, relative to this file (or --data-dir)"),
        ] {
            if !source.has(key) {
                problems.push(source.problem(key, Complaint::Missing(right)));
            }
        }
        self.limits.check(source, problems);
        self.timing.check(source, problems);
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
        match split_address(&self.listen) {
            Err(bad) => problems.push(source.problem("listen", bad.into())),
            Ok((host, _)) if !self.insecure && !is_loopback(host) => {
                problems.push(source.problem("listen", Complaint::BeyondLoopback(self.listen.clone())));
            }
            Ok(_) => {}
        }
        let limit = self.limits.object.bucket_bytes_max;
        if let Some(name) = cluster.buckets.keys().find(|name| name.len() > limit as usize) {
            let complaint = Complaint::BucketNameTooLong { name: name.clone(), limit };
            problems.push(source.problem("limits.bucket_bytes_max", complaint));
        }
    }
}
