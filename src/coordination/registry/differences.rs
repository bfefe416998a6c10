//! Where the service and a configuration disagree.

use std::collections::BTreeSet;

use crate::config::{ClusterConfig, CoordinationConfig};
use crate::core::bucket::Buckets;

use super::records::RingMember;
use super::view::View;

/// As sentences for the log. The service rules; the configuration said how to begin.
pub fn differences(view: &View, config: &ClusterConfig) -> Vec<String> {
    let mut told = vec![];
    let cluster = &view.cluster;
    compare(&mut told, "name", &config.name, &cluster.name);
    compare(&mut told, "partitions", config.partitions, cluster.partitions);
    compare(&mut told, "replication", config.replication, cluster.replication);
    let written = CoordinationConfig::written;
    let (ours, theirs) = (config.coordination.auto_remove_after_ms, cluster.auto_remove_after_ms);
    compare(&mut told, "auto_remove_after", written(ours), written(theirs));
    for entry in &config.nodes {
        let id = entry.id;
        let Some(member) = view.present(id) else {
            told.push(format!("the configuration lists node {id} at {}, the cluster has no such node", entry.address));
            continue;
        };
        compare(&mut told, &format!("address of node {id}"), &entry.address, &member.address);
        compare(&mut told, &format!("zone of node {id}"), &entry.zone, &member.zone);
        compare(&mut told, &format!("weight of node {id}"), entry.weight, member.weight);
    }
    let unlisted = |member: &&RingMember| member.is_present() && config.node(member.node).is_none();
    for RingMember { node, address, .. } in view.ring.members.iter().filter(unlisted) {
        told.push(format!("the cluster has node {node} at {address}, which the configuration does not list"));
    }
    let kept = Buckets::new(&view.buckets);
    for name in config.buckets.keys().chain(view.buckets.keys()).collect::<BTreeSet<_>>() {
        let (ours, theirs) = (config.bucket(name.as_bytes()), kept.get(name.as_bytes()));
        for (property, configured, kept) in super::buckets::differences(ours, theirs) {
            compare(&mut told, &format!("{property} of bucket '{name}'"), configured, kept);
        }
    }
    told
}

fn compare<T: PartialEq + std::fmt::Display>(told: &mut Vec<String>, what: &str, configured: T, kept: T) {
    if configured != kept {
        told.push(format!("the configuration says {what} {configured}, the cluster has {kept}"));
    }
}
