//! What a cluster's file may say.

use super::*;
use crate::core::bucket::{Conflict, QuorumSize};

#[test]
fn what_is_left_out_has_its_default() {
    let config = load(NODE, CLUSTER).unwrap();
    let expected = ClusterConfig::default();
    assert_eq!((config.cluster.partitions, config.cluster.replication), (expected.partitions, expected.replication));
    assert_eq!(config.cluster.nodes[2], NodeEntry::new(NodeId(3), "127.0.0.1:7003"));
    assert_eq!(config.cluster.buckets, expected.buckets);
}

#[test]
fn a_bucket_without_a_table_is_like_default() {
    let buckets = "[buckets.default]\nr = 1\nconflict = \"lww\"\n[buckets.photos]\nw = \"all\"\n";
    let cluster = load(NODE, &format!("{CLUSTER}{buckets}")).unwrap().cluster;
    let (default, photos) = (cluster.bucket(b"default"), cluster.bucket(b"photos"));
    assert_eq!((default.r, default.w, default.conflict), (QuorumSize::Count(1), QuorumSize::Quorum, Conflict::Lww));
    assert_eq!((photos.r, photos.w, photos.conflict), (QuorumSize::Count(1), QuorumSize::All, Conflict::Lww));
    assert_eq!((cluster.bucket(b"other"), cluster.bucket(b"\xff")), (default, default));
    let bare = ClusterConfig { buckets: Default::default(), ..cluster.clone() };
    assert_eq!(*bare.bucket(b"other"), Bucket::default());
}

#[test]
fn partitions_are_a_power_of_two() {
    let refusal = |partitions: &str| one(load(NODE, &format!("partitions = {partitions}\n{CLUSTER}")));
    assert_eq!(refusal("1000"), "c.toml:1: partitions: 1000 is no power of two; the nearest are 512 and 1024");
    assert_eq!(refusal("0"), "c.toml:1: partitions: found 0, expected a power of two from 1 to 65536");
    assert_eq!(refusal("131072"), "c.toml:1: partitions: found 131072, expected a power of two from 1 to 65536");
    for right in [1, 65536] {
        load(NODE, &format!("partitions = {right}\n{CLUSTER}")).unwrap();
    }
}

#[test]
fn replication_needs_as_many_nodes() {
    let refusal = |replication: &str| one(load(NODE, &format!("replication = {replication}\n{CLUSTER}")));
    assert_eq!(refusal("0"), "c.toml:1: replication: found 0, expected a number of copies from 1 to 255");
    assert_eq!(
        refusal("4"),
        "c.toml:1: replication: 4 copies need at least 4 nodes with a weight above 0, and 3 are listed; \
         add nodes or lower replication"
    );
    // The key was left out, so the file is named: the default is what does not fit.
    let two = CLUSTER.replace("id = 3\n", "id = 3\nweight = 0\n");
    assert_eq!(
        one(load(NODE, &two)),
        "c.toml: replication: 3 copies need at least 3 nodes with a weight above 0, and 2 are listed; \
         add nodes or lower replication"
    );
}

#[test]
fn nodes_are_told_apart() {
    let again = "[[nodes]]\nid = 2\naddress = \"127.0.0.1:7004\"\n";
    assert_eq!(
        cluster_refusal(again),
        "c.toml:12: nodes[3].id: node 2 is listed before, on line 6; give each node an id of its own"
    );
    let same = "[[nodes]]\nid = 4\naddress = \"127.0.0.1:7003\"\n";
    assert_eq!(
        cluster_refusal(same),
        "c.toml:13: nodes[3].address: 127.0.0.1:7003 is node 3's, on line 10; give each node an address of its own"
    );
}

#[test]
fn a_node_has_an_id_and_an_address() {
    let problems = load(NODE, &format!("{CLUSTER}[[nodes]]\n")).unwrap_err();
    assert_eq!(
        problems,
        [
            "c.toml:11: nodes[3].address: is missing; give host:port, where the other nodes reach it",
            "c.toml:11: nodes[3].id: is missing; give the node's number, from 1",
        ]
    );
    let entry = |id: &str, rest: &str| cluster_refusal(&format!("[[nodes]]\nid = {id}\naddress = \"a:1\"\n{rest}"));
    assert_eq!(entry("0", ""), "c.toml:12: nodes[3].id: found 0, expected a node's number from 1 to 4294967295");
    assert_eq!(entry("4", "zone = \"\""), "c.toml:14: nodes[3].zone: found \"\", expected a text of 1 to 255 bytes");
    assert_eq!(entry("4", "weight = -1"), "c.toml:14: nodes[3].weight: found -1, expected a weight from 0 to 10000");
    assert_eq!(
        cluster_refusal("[[nodes]]\nid = 4\naddress = \"localhost\"\n"),
        "c.toml:13: nodes[3].address: 'localhost' has no port; give host:port, for example 127.0.0.1:8000"
    );
}

#[test]
fn name_and_nodes_are_required() {
    assert_eq!(
        load(NODE, "").unwrap_err(),
        [
            "c.toml: name: is missing; give a name for the cluster, the same in every node's copy of this file",
            "c.toml: nodes: is missing; give a [[nodes]] table with id and address for each node",
        ]
    );
    assert_eq!(
        one(load(NODE, "name = \"t\"\nnodes = []\n")),
        "c.toml:2: nodes: is missing; give a [[nodes]] table with id and address for each node"
    );
    assert_eq!(
        one(load(NODE, "name = \"t\"\nnodes = 3\n")),
        "c.toml:2: nodes: found 3, expected one [[nodes]] table for each"
    );
}

#[test]
fn quorums_can_be_met() {
    let refusal = |keys: &str| cluster_refusal(&format!("[buckets.b]\n{keys}"));
    for (keys, message) in [
        (
            "n = 4",
            "12: buckets.b.n: 4 replicas are more than the cluster's replication = 3; lower n or raise replication",
        ),
        ("n = 0", "12: buckets.b.n: found 0, expected a number of replicas from 1 to 255"),
        ("r = 4", "12: buckets.b.r: 4 cannot be met by n = 3 replicas; give 1 to 3, or one, quorum or all"),
        ("n = 2\nw = 3", "13: buckets.b.w: 3 cannot be met by n = 2 replicas; give 1 to 2, or one, quorum or all"),
        ("w = 0", "12: buckets.b.w: 0 cannot be met by n = 3 replicas; give 1 to 3, or one, quorum or all"),
        ("pr = 3", "12: buckets.b.pr: found 3, but only r = 2 replicas answer at all; give 0 to 2 or raise r"),
        ("pw = \"all\"", "12: buckets.b.pw: found all, but only w = 2 replicas answer at all; give 0 to 2 or raise w"),
        (
            "r = \"most\"",
            "12: buckets.b.r: found \"most\", expected a number from 0 to 255, or \"one\", \"quorum\" or \"all\"",
        ),
        ("r = 256", "12: buckets.b.r: found 256, expected a number from 0 to 255, or \"one\", \"quorum\" or \"all\""),
        ("sloppy = 1", "12: buckets.b.sloppy: found 1, expected true or false"),
        ("conflict = \"crdt\"", "12: buckets.b.conflict: found \"crdt\", expected \"siblings\" or \"lww\""),
        ("blind_write = 0", "12: buckets.b.blind_write: found 0, expected \"supersede\" or \"sibling\""),
    ] {
        assert_eq!(refusal(keys), format!("c.toml:{message}"), "{keys}");
    }
}

#[test]
fn an_inherited_quorum_is_judged_where_it_is_inherited() {
    assert_eq!(
        cluster_refusal("[buckets.default]\nr = 3\n[buckets.b]\nn = 2\n"),
        "c.toml:13: buckets.b.r: 3 cannot be met by n = 2 replicas; give 1 to 2, or one, quorum or all"
    );
}

#[test]
fn a_bucket_has_a_name_that_requests_can_use() {
    assert_eq!(cluster_refusal("[buckets.\"\"]\n"), "c.toml:11: buckets.: a bucket's name has at least one byte");
    let long = "x".repeat(256);
    assert_eq!(
        cluster_refusal(&format!("[buckets.{long}]\n")),
        format!(
            "n.toml: limits.bucket_bytes_max: bucket '{long}' of the cluster has a name longer than 255 bytes; \
             raise the limit or rename the bucket"
        )
    );
    assert_eq!(cluster_refusal("[buckets]\nb = 1\n"), "c.toml:12: buckets.b: found 1, expected a table");
}
