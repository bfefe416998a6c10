//! What a node's file may say, and what overrides it.

use super::*;

#[test]
fn address_and_listen_follow_from_the_node_list() {
    let config = load(NODE, CLUSTER).unwrap();
    assert_eq!((config.node.listen.as_str(), config.node.advertise.as_str()), ("127.0.0.1:7001", "127.0.0.1:7001"));
    assert!(config.node.data_dir.is_absolute() && config.node.data_dir.ends_with("d"), "relative to the file");
    let rest = (config.node.storage, config.node.limits, config.node.timing);
    assert_eq!(rest, Default::default());
}

#[test]
fn cluster_id_and_data_dir_are_required() {
    assert_eq!(
        load("", CLUSTER).unwrap_err(),
        [
            "n.toml: cluster: is missing; give the path of cluster.toml, relative to this file; \
             or join, to join a running cluster",
            "n.toml: data_dir: is missing; give the folder for this node's data, relative to this file (or --data-dir)",
            "n.toml: id: is missing; give the node's number in the node list (or --id)",
        ]
    );
}

#[test]
fn a_wrong_id_is_not_compared_with_the_list() {
    let node = NODE.replace("id = 1", "id = 0\nadvertise = \"127.0.0.1:7002\"");
    assert_eq!(one(load(&node, CLUSTER)), "n.toml:2: id: found 0, expected a node's number from 1 to 4294967295");
}

#[test]
fn arguments_override_the_file() {
    let overrides = Overrides {
        id: Some(NodeId(2)),
        listen: Some("0.0.0.0:9000".into()),
        data_dir: Some("elsewhere".into()),
        insecure: true,
        join: vec![],
    };
    let node = load_with("cluster = \"c.toml\"\nlisten = \"x\"\n", CLUSTER, &overrides).unwrap().node;
    assert_eq!((node.id, node.listen.as_str(), node.advertise.as_str()), (NodeId(2), "0.0.0.0:9000", "127.0.0.1:7002"));
    assert_eq!((node.data_dir, node.insecure), ("elsewhere".into(), true));
}

#[test]
fn a_bad_argument_is_named() {
    let overrides = Overrides { id: Some(NodeId(9)), ..Default::default() };
    assert_eq!(
        one(load_with(NODE, CLUSTER, &overrides)),
        "--id (KV_ID): node 9 is not in the node list, which has 1, 2, 3; correct the id or add the node to the list"
    );
    let overrides = Overrides { listen: Some("8000".into()), ..Default::default() };
    assert_eq!(
        one(load_with(NODE, CLUSTER, &overrides)),
        "--listen (KV_LISTEN): '8000' has no port; give host:port, for example 127.0.0.1:8000"
    );
}

#[test]
fn a_node_is_in_the_list_under_its_address() {
    assert_eq!(
        one(load(&NODE.replace("id = 1", "id = 4"), CLUSTER)),
        "n.toml:2: id: node 4 is not in the node list, which has 1, 2, 3; correct the id or add the node to the list"
    );
    assert_eq!(
        node_refusal("advertise = \"db:7001\""),
        "n.toml:4: advertise: db:7001 is not node 1's address in the node list, 127.0.0.1:7001; \
         make them equal or leave this out"
    );
}

#[test]
fn beyond_loopback_needs_consent() {
    let message = "can be reached from other machines, and links are not encrypted yet; \
                   listen on 127.0.0.1, or set insecure = true (--insecure) on a network you trust";
    assert_eq!(node_refusal("listen = \"0.0.0.0:7001\""), format!("n.toml:4: listen: 0.0.0.0:7001 {message}"));
    let beyond = CLUSTER.replace("127.0.0.1:7001", "db1:7001");
    assert_eq!(one(load(NODE, &beyond)), format!("n.toml: listen: db1:7001 {message}"));
    load(&format!("{NODE}insecure = true\n"), &beyond).unwrap();
    load(&format!("{NODE}listen = \"[::1]:7001\"\n"), &beyond).unwrap();
}

#[test]
fn wrong_values_are_named_with_what_would_be_right() {
    for (key, message) in [
        ("listen = \"a\"", "listen: 'a' has no port; give host:port, for example 127.0.0.1:8000"),
        ("listen = 8000", "listen: found 8000, expected a text of 1 to 255 bytes"),
        ("insecure = \"yes\"", "insecure: found \"yes\", expected true or false"),
        ("arbiters = -1", "arbiters: found -1, expected a number of threads from 0 to 1024"),
        ("storage = [1]", "storage: found an array, expected a table"),
        ("storage.engine = \"rocks\"", "storage.engine: found \"rocks\", expected \"fjall\" or \"memory\""),
        ("storage.sync = true", "storage.sync: found true, expected \"always\" or \"interval\" or \"never\""),
        (
            "storage.cache_bytes = 1.5",
            "storage.cache_bytes: found 1.5, expected a number of bytes from 1048576 to 17592186044416",
        ),
        ("limits.key_bytes_max = 0", "limits.key_bytes_max: found 0, expected a number of bytes from 1 to 32768"),
        (
            "limits.connections_max = 0",
            "limits.connections_max: found 0, expected a number of connections from 1 to 1000000",
        ),
        (
            "timing.ping_interval_ms = 99999999999999999999",
            "timing.ping_interval_ms: found 99999999999999999999, expected a number of milliseconds from 1 to 86400000",
        ),
    ] {
        assert_eq!(node_refusal(key), format!("n.toml:4: {message}"), "{key}");
    }
    let cluster = NODE.replace("\"c.toml\"", "{ name = \"t\" }");
    assert_eq!(one(load(&cluster, CLUSTER)), "n.toml:1: cluster: found a table, expected a path");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (keys, message) in [
        (
            "limits.value_bytes_max = 16777217",
            "limits.value_bytes_max: 16777217 is more than limits.object_bytes_max = 16777216; \
             lower it or raise limits.object_bytes_max",
        ),
        (
            "limits.message_bytes_max = 8388608",
            "limits.object_bytes_max: 16777216 is more than limits.message_bytes_max = 8388608; \
             lower it or raise limits.message_bytes_max",
        ),
        (
            "limits.link_queue_bytes_max = 8388608",
            "limits.object_bytes_max: 16777216 is more than limits.link_queue_bytes_max = 8388608; \
             lower it or raise limits.link_queue_bytes_max",
        ),
        (
            "limits.frame_bytes_max = 268435457",
            "limits.frame_bytes_max: 268435457 is more than limits.message_bytes_max = 268435456; \
             lower it or raise limits.message_bytes_max",
        ),
        (
            "limits.connection_calls_max = 10001",
            "limits.connection_calls_max: 10001 is more than limits.calls_in_flight_max = 10000; \
             lower it or raise limits.calls_in_flight_max",
        ),
        (
            "timing.reconnect_min_ms = 2001",
            "timing.reconnect_min_ms: 2001 is more than timing.reconnect_max_ms = 2000; \
             lower it or raise timing.reconnect_max_ms",
        ),
        (
            "timing.hedge_min_ms = 201",
            "timing.hedge_min_ms: 201 is more than timing.hedge_max_ms = 200; lower it or raise timing.hedge_max_ms",
        ),
        (
            "timing.hedge_max_ms = 5001",
            "timing.hedge_max_ms: 5001 is more than timing.request_timeout_ms = 5000; \
             lower it or raise timing.request_timeout_ms",
        ),
        (
            "timing.ping_interval_ms = 501",
            "timing.ping_interval_ms: 501 is more than half of timing.peer_timeout_ms = 1000: \
             one late ping would take a peer down",
        ),
    ] {
        assert_eq!(node_refusal(keys).split_once(": ").unwrap().1, message, "{keys}");
    }
}

#[test]
fn a_server_list_makes_a_cluster() {
    let servers = "1|localhost:8000,2|localhost:8001,3|localhost:8002,4|localhost:8003";
    let config = Config::from_servers(NodeId(2), "127.0.0.1:9001", servers, &Overrides::default()).unwrap();
    assert_eq!((config.cluster.replication, config.cluster.nodes.len(), config.cluster.partitions), (3, 4, 256));
    assert_eq!((config.node.id, config.node.listen.as_str()), (NodeId(2), "127.0.0.1:9001"));
    assert_eq!((config.node.advertise.as_str(), config.node.data_dir), ("localhost:8001", "data/node2".into()));
    let two =
        Config::from_servers(NodeId(1), "a:1", "1|a:1,2|b:1", &Overrides { insecure: true, ..Default::default() });
    assert_eq!(two.unwrap().cluster.replication, 2);
}

#[test]
fn a_bad_short_form_is_refused() {
    let refusal = |id, listen: &str, servers: &str| {
        Config::from_servers(NodeId(id), listen, servers, &Overrides::default()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(1, "localhost:1", "1:localhost:1"),
        "SERVERS: '1:localhost:1' is no server; give ID|HOST:PORT with an id from 1, for example 1|localhost:8000"
    );
    assert_eq!(
        refusal(2, "localhost:1", "1|localhost:1"),
        "ID: node 2 is not in the node list, which has 1; correct the id or add the node to the list"
    );
    assert_eq!(
        refusal(1, "localhost", "1|localhost:1"),
        "LISTEN: 'localhost' has no port; give host:port, for example 127.0.0.1:8000"
    );
}

#[test]
fn a_dev_node_is_a_cluster_of_its_own() {
    let config = Config::dev(Path::new("scratch"), &Overrides::default()).unwrap();
    assert_eq!((config.node.listen.as_str(), config.node.data_dir.as_path()), ("127.0.0.1:8000", Path::new("scratch")));
    assert_eq!((config.cluster.replication, config.cluster.nodes.len()), (1, 1));
    let free = Overrides { listen: Some("[::1]:0".into()), data_dir: Some("mine".into()), ..Default::default() };
    let config = Config::dev(Path::new("scratch"), &free).unwrap();
    let port = config.node.listen.strip_prefix("[::1]:").unwrap().parse::<u16>().unwrap();
    assert!(port > 0 && config.cluster.nodes[0].address == config.node.listen);
    assert_eq!(config.node.data_dir, Path::new("mine"));
}

#[test]
fn the_summary_promises_no_more_than_the_quorums() {
    let fourth = "[[nodes]]\nid = 4\naddress = \"127.0.0.1:7004\"\n[buckets.default]\n";
    for (keys, words) in [
        (
            "",
            "fallbacks stand in for owners that are down; a read sees every write acknowledged before it (r + w > n), \
             unless fallbacks stood in for owners; concurrent writes are all kept.",
        ),
        (
            "sloppy = false",
            "nobody stands in for owners that are down; \
             a read sees every write acknowledged before it (r + w > n); concurrent writes are all kept.",
        ),
        (
            "pr = 2\npw = 2\nconflict = \"lww\"",
            "a read sees every write acknowledged before it (pr + pw > n); \
             of concurrent writes the newest survives.",
        ),
        ("r = 1", "a read may miss a recent write (r + w <= n); concurrent writes are all kept."),
        ("[buckets.b]", "concurrent writes are all kept. One other bucket has properties of its own."),
        ("[buckets.b]\n[buckets.c]", "concurrent writes are all kept. 2 other buckets have properties of their own."),
    ] {
        let summary = load(NODE, &format!("{CLUSTER}{fourth}{keys}\n")).unwrap().summary();
        assert!(summary.ends_with(words), "{summary}");
    }
}

#[test]
fn risky_choices_are_warned_of() {
    assert!(load(NODE, CLUSTER).unwrap().warnings().is_empty());
    let risky = "insecure = true\nstorage.engine = \"memory\"\nstorage.sync = \"interval\"\n";
    assert_eq!(
        load(&format!("{NODE}{risky}"), CLUSTER).unwrap().warnings(),
        [
            "INSECURE: 127.0.0.1:7001 accepts whoever reaches it; links are neither encrypted nor authenticated \
             (insecure = true)",
            "VOLATILE: everything is lost when this node stops (storage.engine = \"memory\")",
            "UNSYNCED: a power loss takes acknowledged writes of the last 1000 ms (storage.sync = \"interval\")",
        ]
    );
    let never = load(&format!("{NODE}storage.sync = \"never\"\n"), CLUSTER).unwrap();
    let message = "UNSYNCED: a power loss may take any acknowledged write (storage.sync = \"never\")";
    assert_eq!(never.warnings(), [message]);
}
