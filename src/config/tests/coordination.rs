//! What the section `[coordination]` may say.

use super::*;

/// The cluster of [`CLUSTER`] with keys in its section, which begins at line 11.
fn with(keys: &str) -> Result<Config, Vec<String>> {
    load(NODE, &format!("{CLUSTER}[coordination]\n{keys}\n"))
}

fn voters(nodes: u32, keys: &str) -> Vec<u32> {
    let node = |id: u32| format!("[[nodes]]\nid = {id}\naddress = \"127.0.0.1:{}\"\n", 7000 + id);
    let nodes: String = (1..=nodes).map(node).collect();
    let cluster = format!("name = \"t\"\nreplication = 1\n{nodes}[coordination]\n{keys}\n");
    load(NODE, &cluster).unwrap().cluster.voters().iter().map(|id| id.0).collect()
}

#[test]
fn an_odd_number_votes() {
    let by_default = [1, 2, 3, 4].map(|nodes| voters(nodes, ""));
    assert_eq!(by_default, [vec![1], vec![1], vec![1, 2, 3], vec![1, 2, 3]]);
    assert_eq!(voters(4, "voters = [2, 4, 3]"), [2, 4, 3]);
    assert_eq!(voters(5, "voters = [1, 2, 3, 4, 5]").len(), 5);
    for (keys, message) in [
        ("voters = [1, 2]", "found 2 voters; name 1, 3 or 5: they survive the loss of 0, 1 or 2"),
        ("voters = []", "found 0 voters; name 1, 3 or 5: they survive the loss of 0, 1 or 2"),
        (
            "voters = [1, 2, 4]",
            "node 4 is not in the node list, which has 1, 2, 3; correct the id or add the node to the list",
        ),
        ("voters = [1, 2, 1]", "node 1 is named twice; each votes once"),
        ("voters = [1, \"2\", 3]", "found an array, expected a list of node ids, as in [1, 2, 3]"),
        ("voters = 1", "found 1, expected a list of node ids, as in [1, 2, 3]"),
    ] {
        assert_eq!(one(with(keys)), format!("c.toml:12: coordination.voters: {message}"), "{keys}");
    }
}

#[test]
fn times_follow_each_other() {
    with("heartbeat_ms = 100\nelection_timeout_ms = 500\nsession_timeout_ms = 1000").unwrap();
    with("heartbeat_ms = 10\nelection_timeout_ms = 30").unwrap();
    for (keys, message) in [
        (
            "election_timeout_ms = 599",
            "election_timeout_ms: 599 is less than three times coordination.heartbeat_ms = 200: \
             a late heartbeat would depose a leader",
        ),
        (
            "session_timeout_ms = 1999",
            "session_timeout_ms: 1999 is less than twice coordination.election_timeout_ms = 1000: \
             all nodes would count as gone whenever a leader is elected",
        ),
        (
            "session_timeout_ms = 999",
            "session_timeout_ms: found 999, expected a number of milliseconds from 1000 to 600000",
        ),
        ("snapshot_every = 1", "snapshot_every: found 1, expected a number of log entries from 100 to 10000000"),
        ("kind = \"etcd\"", "kind: found \"etcd\", expected \"embedded\" or \"zookeeper\""),
        ("bootstrap = 1", "bootstrap: found 1, expected true or false"),
    ] {
        assert_eq!(one(with(keys)), format!("c.toml:12: coordination.{message}"), "{keys}");
    }
}

#[test]
fn zookeeper_needs_servers_and_a_path() {
    let zookeeper = |keys: &str| with(&format!("kind = \"zookeeper\"\n{keys}"));
    let cluster = zookeeper("servers = \"a:1, b:2\"\nsession_timeout_ms = 1000").unwrap().cluster;
    assert_eq!((cluster.coordination.servers.join(","), cluster.coordination_root()), ("a:1,b:2".into(), "/t".into()));
    let cluster = zookeeper("servers = \"a:1\"\nroot = \"/apps/kv\"").unwrap().cluster;
    assert_eq!(cluster.coordination_root(), "/apps/kv");
    assert_eq!(
        one(zookeeper("")),
        "c.toml:11: coordination.servers: is missing; give where ZooKeeper is: host:port, several separated by commas"
    );
    assert_eq!(
        one(zookeeper("servers = \"a:1,b\"")),
        "c.toml:13: coordination.servers: 'b' has no port; give host:port, for example 127.0.0.1:8000"
    );
    for root in ["", "/", "kv", "/kv/", "//kv", "/../kv"] {
        assert_eq!(
            one(zookeeper(&format!("servers = \"a:1\"\nroot = \"{root}\""))),
            format!(
                "c.toml:14: coordination.root: '{root}' is no path; \
                 give one such as /kv, with names between its slashes and none at its end"
            )
        );
    }
    // The default follows from the name, and may not be one.
    let named = CLUSTER.replace("\"t\"", "\"a/\"");
    let refused = load(NODE, &format!("{named}[coordination]\nkind = \"zookeeper\"\nservers = \"a:1\"\n"));
    assert!(one(refused).starts_with("c.toml:11: coordination.root: '/a/' is no path; "));
}

#[test]
fn keys_of_the_other_service_are_refused() {
    for key in ["servers = \"a:1\"", "root = \"/kv\""] {
        let message = "means nothing with kind = \"embedded\"; leave it out, or set coordination.kind = \"zookeeper\"";
        let name = key.split(' ').next().unwrap();
        assert_eq!(one(with(key)), format!("c.toml:12: coordination.{name}: {message}"));
    }
    for key in ["voters = [1]", "heartbeat_ms = 1", "election_timeout_ms = 1", "snapshot_every = 100"] {
        let message = "means nothing with kind = \"zookeeper\"; leave it out, or set coordination.kind = \"embedded\"";
        let name = key.split(' ').next().unwrap();
        let refused = with(&format!("kind = \"zookeeper\"\nservers = \"a:1\"\n{key}"));
        assert_eq!(one(refused), format!("c.toml:14: coordination.{name}: {message}"));
    }
}

#[test]
fn only_files_have_to_ask_for_a_new_cluster() {
    assert!(!load(NODE, CLUSTER).unwrap().cluster.coordination.bootstrap);
    assert!(with("bootstrap = true").unwrap().cluster.coordination.bootstrap);
    let none = Overrides::default();
    let short = Config::from_servers(NodeId(1), "localhost:1", "1|localhost:1", &none).unwrap();
    assert!(short.cluster.coordination.bootstrap);
    assert!(Config::dev(Path::new("d"), &none).unwrap().cluster.coordination.bootstrap);
}

#[test]
fn the_summary_says_who_coordinates() {
    for (keys, words) in [
        ("", "by nodes 1, 2, 3, any 1 of which may be lost; this node waits for a cluster that was made elsewhere"),
        ("voters = [2]\nbootstrap = true", "by node 2 alone; this node helps to make the cluster if there is none."),
        ("kind = \"zookeeper\"\nservers = \"a:1,b:2\"", "by ZooKeeper at a:1, b:2 under /t; "),
    ] {
        let summary = with(keys).unwrap().summary();
        assert!(summary.contains(&format!("It is coordinated {words}")), "{summary}");
    }
}

#[test]
fn a_node_that_is_down_is_removed_when_the_operator_says() {
    let after = |keys: &str| with(keys).map(|config| config.cluster.coordination.auto_remove_after_ms);
    assert_eq!(after("").unwrap(), Some(1_800_000));
    assert_eq!(after("auto_remove_after = \"90s\"").unwrap(), Some(90_000));
    assert_eq!(after("auto_remove_after = \"never\"").unwrap(), None);
    assert_eq!(after("kind = \"zookeeper\"\nservers = \"a:1\"\nauto_remove_after = \"2h\"").unwrap(), Some(7_200_000));
    for bad in ["\"30\"", "\"999ms\"", "\"366d\"", "\"0s\"", "30"] {
        let expected = "expected \"never\" or a duration from 1s to 365d, as in \"30m\"";
        let told = format!("c.toml:12: coordination.auto_remove_after: found {bad}, {expected}");
        assert_eq!(one(with(&format!("auto_remove_after = {bad}"))), told);
    }
    let summary = |keys: &str| with(keys).unwrap().summary();
    assert!(summary("").contains(" A node that is down for 30m is taken to be gone. "));
    assert!(summary("auto_remove_after = \"never\"").contains(" is taken to be gone only when an operator says so. "));
}

#[test]
fn a_single_voter_among_several_nodes_is_warned_of() {
    let warnings = with("voters = [2]").unwrap().warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("SINGLE VOTER: while node 2 is down "), "{warnings:?}");
    assert!(with("kind = \"zookeeper\"\nservers = \"a:1\"").unwrap().warnings().is_empty());
    assert!(Config::dev(Path::new("d"), &Overrides::default()).unwrap().warnings().is_empty());
}
