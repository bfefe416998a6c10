//! What no file may be: unreadable, no TOML, or full of keys that mean nothing.

use super::*;

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(one(load_in(folder.path(), &Overrides::default())), "n.toml: cannot be read: no such file or directory");
    fs::write(folder.path().join("n.toml"), NODE).unwrap();
    assert_eq!(
        one(load_in(folder.path(), &Overrides::default())),
        "n.toml:1: cluster: cannot read c.toml: no such file or directory; the path is relative to the file that it stands in"
    );
    fs::write(folder.path().join("n.toml"), [0xff, 0xfe]).unwrap();
    assert_eq!(
        one(load_in(folder.path(), &Overrides::default())),
        "n.toml: cannot be read: stream did not contain valid utf-8"
    );
}

#[test]
fn what_is_no_toml_is_named_with_each_line() {
    let problems = load("id = \n\nlisten = a\n", CLUSTER).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("n.toml:1: not TOML: "), "{problems:#?}");
    assert!(problems[1].starts_with("n.toml:3: not TOML: "), "{problems:#?}");
    assert_eq!(node_refusal("id = 2\n"), "n.toml:4: not TOML: duplicate key");
    assert_eq!(cluster_refusal("name = 1\nname = 2\n"), "c.toml:12: not TOML: duplicate key");
}

#[test]
fn an_unknown_key_brings_the_nearest_known_one() {
    assert_eq!(node_refusal("lsiten = \"a:1\""), "n.toml:4: lsiten: unknown key; did you mean listen?");
    assert_eq!(node_refusal("[limit]"), "n.toml:4: limit: unknown key; did you mean limits?");
    assert_eq!(
        node_refusal("[timing]\nping_interval = 1"),
        "n.toml:5: timing.ping_interval: unknown key; did you mean ping_interval_ms?"
    );
    assert_eq!(
        node_refusal("cache_bytes = 1"),
        "n.toml:4: cache_bytes: unknown key; did you mean storage.cache_bytes?"
    );
    assert_eq!(
        node_refusal("[storage]\nx = 1"),
        "n.toml:5: storage.x: unknown key; known here: engine, sync, sync_interval_ms, cache_bytes, disk_free_bytes_min"
    );
    assert_eq!(
        cluster_refusal("[[nodes]]\nid = 4\naddress = \"a:1\"\nrack = \"r\""),
        "c.toml:14: nodes[3].rack: unknown key; known here: id, address, zone, weight"
    );
    assert_eq!(cluster_refusal("[buckets.b]\nR = 1"), "c.toml:12: buckets.b.R: unknown key; did you mean r?");
}

#[test]
fn everything_wrong_is_reported_together_in_order() {
    let node = format!("{NODE}lsiten = 1\n[timing]\nhedge_min_ms = 300\npeer_timeout_ms = 0\n");
    let cluster = CLUSTER.replace("7002", "7001").replace("id = 3", "id = 0");
    assert_eq!(
        load(&node, &format!("replication = \"3\"\n{cluster}")).unwrap_err(),
        [
            "c.toml:1: replication: found \"3\", expected a number of copies from 1 to 255",
            "c.toml:8: nodes[1].address: 127.0.0.1:7001 is node 1's, on line 5; give each node an address of its own",
            "c.toml:10: nodes[2].id: found 0, expected a node's number from 1 to 4294967295",
            "n.toml:4: lsiten: unknown key; did you mean listen?",
            "n.toml:6: timing.hedge_min_ms: 300 is more than timing.hedge_max_ms = 200; \
             lower it or raise timing.hedge_max_ms",
            "n.toml:7: timing.peer_timeout_ms: found 0, expected a number of milliseconds from 1 to 86400000",
        ]
    );
}

proptest::proptest! {
    #[test]
    fn garbage_never_panics(text in "(\\PC|\n|= |\\[|\\]|\"){0,60}") {
        let _ = load(&text, &text);
    }
}
