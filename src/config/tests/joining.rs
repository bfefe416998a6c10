//! A node that asks a running cluster instead of reading its file.

use super::*;

const JOINING: &str = "join = [\"10.0.0.1:8000\"]\nlisten = \"127.0.0.1:7004\"\ndata_dir = \"d\"\n";

fn joining(rest: &str) -> Result<Config, Vec<String>> {
    load(&format!("{JOINING}{rest}"), CLUSTER)
}

#[test]
fn one_address_is_enough() {
    let config = joining("").unwrap();
    assert_eq!((config.node.join.as_slice(), config.node.joins()), (&["10.0.0.1:8000".into()][..], true));
    assert_eq!((config.node.id, config.node.advertise.as_str()), (NodeId(0), "127.0.0.1:7004"));
    assert_eq!(config.node.entry(), NodeEntry::new(NodeId(0), "127.0.0.1:7004"));
    assert_eq!(config.cluster, ClusterConfig::unknown());
    let config = joining("id = 9\nadvertise = \"db:1\"\nzone = \"z\"\nweight = 5\n").unwrap();
    let entry = NodeEntry { id: NodeId(9), address: "db:1".into(), zone: "z".into(), weight: 5 };
    assert_eq!(config.node.entry(), entry);
}

#[test]
fn listen_and_data_are_required() {
    assert_eq!(
        load("join = [\"a:1\"]\n", CLUSTER).unwrap_err(),
        [
            "n.toml: data_dir: is missing; give the folder for this node's data, relative to this file (or --data-dir)",
            "n.toml: listen: is missing; give host:port to listen on (or --listen)",
        ]
    );
}

#[test]
fn a_node_is_listed_or_joins() {
    assert_eq!(
        one(joining("cluster = \"c.toml\"\n")),
        "n.toml:1: join: a node that joins learns its cluster from the node it asks; leave out either this or cluster"
    );
    for key in ["zone = \"z\"", "weight = 1"] {
        let message = "is for a node that joins; of this one it stands in the node list, which its cluster's file has";
        let name = key.split(' ').next().unwrap();
        assert_eq!(node_refusal(key), format!("n.toml:4: {name}: {message}"));
    }
}

#[test]
fn addresses_can_be_dialled() {
    let refusal = |from: &str, to: &str| one(load(&JOINING.replace(from, to), CLUSTER));
    assert_eq!(
        refusal("\"10.0.0.1:8000\"", "\"a:1\", \"b\""),
        "n.toml:1: join: 'b' has no port; give host:port, for example 127.0.0.1:8000"
    );
    for join in ["[]", "[1]", "\"a:1\""] {
        let refused = refusal("[\"10.0.0.1:8000\"]", join);
        assert!(refused.ends_with(", expected a list of host:port, as in [\"10.0.0.1:8000\"]"), "{refused}");
    }
    for everywhere in ["0.0.0.0:7004", "[::]:7004"] {
        let node = format!("{}insecure = true\n", JOINING.replace("127.0.0.1:7004", everywhere));
        assert_eq!(
            one(load(&node, CLUSTER)),
            format!(
                "n.toml: advertise: {everywhere} is where the node listens, on all its addresses; \
                 give the one at which the others reach it"
            )
        );
        load(&format!("{node}advertise = \"db:7004\"\n"), CLUSTER).unwrap();
    }
    let beyond = refusal("127.0.0.1:7004", "10.0.0.4:7004");
    assert!(beyond.starts_with("n.toml:2: listen: 10.0.0.4:7004 can be reached from other machines"), "{beyond}");
}

#[test]
fn arguments_join_with_or_without_a_file() {
    let join = Overrides { join: vec!["a:1".into(), "b:2".into()], ..Overrides::default() };
    let config = load_with("listen = \"localhost:1\"\ndata_dir = \"d\"\n", CLUSTER, &join).unwrap();
    assert_eq!(config.node.join, ["a:1", "b:2"]);
    let refused = one(load_with(NODE, CLUSTER, &join));
    assert!(refused.starts_with("--join (KV_JOIN): a node that joins learns its cluster"), "{refused}");

    let whole = Overrides { listen: Some("localhost:4".into()), data_dir: Some("d".into()), ..join.clone() };
    let config = Config::join(&whole).unwrap();
    assert_eq!((config.node.id, config.node.entry().address), (NodeId(0), "localhost:4".into()));
    assert_eq!(
        Config::join(&join).unwrap_err().to_string(),
        "command line: data_dir: is missing; give the folder for this node's data, relative to this file (or --data-dir)\n\
         command line: listen: is missing; give host:port to listen on (or --listen)"
    );
}

#[test]
fn the_summary_says_whom_it_asks() {
    let summary = joining("zone = \"z\"\n").unwrap().summary();
    assert!(
        summary.starts_with("A node that gets its number from the cluster listens on 127.0.0.1:7004 "),
        "{summary}"
    );
    let words = " It joins the cluster of 10.0.0.1:8000 as 127.0.0.1:7004 in zone 'z' with weight 100.";
    assert!(summary.ends_with(words), "{summary}");
    assert!(joining("id = 9\n").unwrap().summary().starts_with("Node 9 listens on "));
    assert!(joining("").unwrap().warnings().is_empty());
}
