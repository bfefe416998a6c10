//! `kv-cli coord` and `kv-cli bucket`, asked once each.

use kv::core::id::{NodeId, StoreId};
use kv::wire::report::{KeeperRole, NookeeperReport, ParticipantReport, ServiceReport, SessionReport};
use serde_json::json;

use crate::fake_node::FakeCluster;
use crate::kv_cli::{cli, cli_with_input, code, document, stderr, stdout};

async fn connected(nodes: u32) -> FakeCluster {
    let cluster = FakeCluster::start(nodes, nodes as u8).await;
    cluster.connect_coordination().await;
    cluster
}

#[tokio::test]
async fn nodes_are_made_shown_set_and_deleted() {
    let cluster = connected(3).await;
    let created = cli(&cluster, &["coord", "create", "/a", "one"]).await;
    assert_eq!((code(&created), stdout(&created), stderr(&created)), (0, "created /a, version 0\n", ""));
    let get = cli(&cluster, &["coord", "get", "/a"]).await;
    assert_eq!((code(&get), stdout(&get), stderr(&get)), (0, "one\n", ""));
    let set = cli(&cluster, &["coord", "set", "/a", "two", "--version", "0"]).await;
    assert_eq!((code(&set), stdout(&set)), (0, "set /a, version 1\n"));
    let get = cli(&cluster, &["coord", "get", "-s", "/a", "--sync"]).await;
    let lines: Vec<_> = stdout(&get).lines().collect();
    assert_eq!(lines[0], "two");
    assert!(lines.contains(&"version               1") && lines.contains(&"ephemeral owner       -"), "{lines:?}");
    let deleted = cli(&cluster, &["coord", "delete", "/a", "-v", "1"]).await;
    assert_eq!((code(&deleted), stdout(&deleted)), (0, "deleted /a\n"));
    let get = cli(&cluster, &["coord", "get", "/a"]).await;
    assert_eq!((code(&get), stdout(&get)), (1, ""));
    assert!(stderr(&get).starts_with("error: no such node: /a\n"), "{get:?}");
}

#[tokio::test]
async fn sequential_nodes_say_their_number() {
    let cluster = connected(1).await;
    for expected in ["/n-0000000000", "/n-0000000001"] {
        let created = document(&cli(&cluster, &["coord", "create", "--sequential", "/n-", "--json"]).await);
        assert_eq!(created["path"], json!(expected));
    }
}

#[tokio::test]
async fn listings_show_names_and_go_down() {
    let cluster = connected(1).await;
    for path in ["/a", "/a/b", "/a/b/c"] {
        cli(&cluster, &["coord", "create", path]).await;
    }
    assert_eq!(stdout(&cli(&cluster, &["coord", "ls"]).await), "a\nkv\n");
    assert_eq!(stdout(&cli(&cluster, &["coord", "ls", "-R", "/a"]).await), "b\nb/c\n");
    let listed = document(&cli(&cluster, &["coord", "ls", "/a", "--json"]).await);
    assert_eq!((&listed["names"], &listed["stat"]["children"]), (&json!(["b"]), &json!(1)));
}

#[tokio::test]
async fn refusals_have_exit_codes_and_say_what_to_do() {
    let cluster = connected(1).await;
    for path in ["/a", "/a/b"] {
        cli(&cluster, &["coord", "create", path]).await;
    }
    cli(&cluster, &["coord", "set", "/a", "x"]).await;
    let refusals: [(&[&str], i32, &str, &str); 7] = [
        (&["set", "/a", "y", "--version", "0"], 2, "/a is not at version 0 but at 1", "get --stat"),
        (&["create", "/a"], 2, "/a exists already", "coord set"),
        (&["create", "/x/y"], 1, "no such node: /x", "parent"),
        (&["delete", "/a"], 2, "/a has children", "ls -R"),
        (&["ls", "/x"], 1, "no such node: /x", "--sync"),
        (&["get", "a"], 2, "'a' does not begin with '/'", ""),
        (&["set", "/kv/ring", "x"], 2, "belongs to the nodes", "--force"),
    ];
    for (arguments, expected, told, advice) in refusals {
        let output = cli(&cluster, &[&["coord"], arguments].concat()).await;
        assert_eq!((code(&output), stdout(&output)), (expected, ""), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.starts_with("error: ") && text.contains(told) && text.contains(advice), "{output:?}");
    }
    assert_eq!(code(&cli(&cluster, &["coord", "set", "/kv", "x", "--force"]).await), 0);
}

#[tokio::test]
async fn any_bytes_go_in_and_come_out_harmless() {
    let cluster = connected(1).await;
    let bytes = b"\x1b[2J\xff\x00";
    let created = cli_with_input(&cluster, &["coord", "create", "/b", "-"], bytes).await;
    assert_eq!(code(&created), 0);
    let shown = cli(&cluster, &["coord", "get", "/b"]).await;
    assert_eq!(stdout(&shown), "\\u{1b}[2J\\xff\\u{0}\n");
    assert!(stderr(&shown).contains("--raw"), "{shown:?}");
    assert_eq!(cli(&cluster, &["coord", "get", "/b", "--raw"]).await.stdout, bytes);
    let shown = document(&cli(&cluster, &["coord", "get", "/b", "--json"]).await);
    assert_eq!(shown["data"], json!({ "hex": "1b5b324aff00" }));
}

#[tokio::test]
async fn a_node_without_a_session_is_passed_over() {
    let cluster = FakeCluster::start(3, 3).await;
    let alone = cli(&cluster, &["coord", "ls"]).await;
    assert_eq!((code(&alone), stdout(&alone)), (3, ""));
    assert!(stderr(&alone).contains("is not connected to the coordination service"), "{alone:?}");
    assert!(stderr(&alone).contains("coord status --all"), "{alone:?}");
    let service = kv::coordination::local::Local::new();
    cluster.nodes[2].open_session(&service).await;
    assert_eq!(code(&cli(&cluster, &["coord", "create", "/a"]).await), 0);
}

#[tokio::test]
async fn an_ephemeral_node_needs_somebody_who_holds_it() {
    let cluster = connected(1).await;
    for arguments in [["create", "/a", "-e"], ["create", "/a", "--hold"]] {
        let output = cli(&cluster, &[&["coord"], &arguments[..]].concat()).await;
        assert_eq!(code(&output), 2, "{output:?}");
    }
}

#[tokio::test]
async fn status_shows_leader_voters_and_sessions() {
    let cluster = FakeCluster::start(2, 2).await;
    let status = cli(&cluster, &["coord", "status"]).await;
    assert!(stdout(&status).contains("uses no coordination service"), "{status:?}");
    let participant = |node: u32| ParticipantReport {
        store: StoreId(node.into()),
        node: NodeId(node),
        address: format!("host{node}:8000"),
    };
    let report = NookeeperReport {
        role: KeeperRole::Follower,
        leader: Some(NodeId(2)),
        leader_heard_ms: Some(120),
        term: 4,
        voters: vec![participant(1), participant(2)],
        learners: vec![participant(3)],
        changing: true,
        revision: 320,
        applied: 331,
        last_log: 333,
        sessions: vec![SessionReport { session: 17, timeout_ms: 10_000, silent_ms: Some(2_500) }],
        sessions_open: 1,
        ..NookeeperReport::default()
    };
    cluster.nodes.iter().for_each(|node| node.show_service(ServiceReport::Nookeeper(report.clone())));
    let status = cli(&cluster, &["coord", "status"]).await;
    assert_eq!(code(&status), 0);
    let text = stdout(&status);
    for expected in [
        "leader    node 2, in term 4 of generation 0, heard 120.0 ms ago",
        "331 of 333 applied",
        "host3:8000  learns",
        "voters are changing",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let session: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(session.join(" "), "0x11 10.0 s 2.5 s ago 7.5 s");

    cluster.nodes[1].stop();
    let all = cli(&cluster, &["coord", "status", "--all"]).await;
    let lines: Vec<_> = stdout(&all).lines().collect();
    assert!(lines[1].contains("follower") && lines[2].contains("down: "), "{lines:?}");
    let all = document(&cli(&cluster, &["coord", "status", "--all", "--json"]).await);
    assert_eq!(all["nodes"][0]["service"]["nookeeper"]["leader"], json!(2));
    assert_eq!(all["nodes"][1]["up"], json!(false));
}

#[tokio::test]
async fn buckets_are_listed_set_and_shown() {
    let cluster = connected(3).await;
    let set = cli(&cluster, &["bucket", "set", "carts", "r=one", "w=all", "n=2"]).await;
    assert_eq!(code(&set), 0, "{set:?}");
    assert!(stdout(&set).starts_with("bucket carts, ring epoch 0.2\n"), "{set:?}");
    let get = cli(&cluster, &["bucket", "get", "carts"]).await;
    let words: Vec<Vec<&str>> = stdout(&get).lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[..3], [["n", "2", "set"], ["r", "one", "set"], ["w", "all", "set"]]);
    assert_eq!(
        words[5..],
        [["sloppy", "true", "default"], ["conflict", "siblings", "default"], ["blind_write", "supersede", "default"]]
    );
    let list = cli(&cluster, &["bucket", "list"]).await;
    let carts = stdout(&list).lines().find(|line| line.starts_with("carts")).unwrap();
    assert_eq!(carts.split_whitespace().collect::<Vec<_>>()[1..6], ["2", "one", "all", "(0)", "(0)"]);
    let other = cli(&cluster, &["bucket", "get", "other"]).await;
    assert!(stdout(&other).starts_with("bucket other has no properties of its own"), "{other:?}");
    let shown = document(&cli(&cluster, &["bucket", "get", "carts", "--json"]).await);
    assert_eq!((&shown["set"], &shown["epoch"], &shown["own"]), (&json!(["n", "r", "w"]), &json!("0.2"), &json!(true)));
}

#[tokio::test]
async fn what_no_bucket_can_have_is_refused() {
    let cluster = connected(3).await;
    for (property, told) in
        [("r=many", "'many' is no r"), ("w=4", "must be from 1 to n"), ("colour=red", "no property")]
    {
        let set = cli(&cluster, &["bucket", "set", "carts", property]).await;
        assert_eq!((code(&set), stdout(&set)), (2, ""), "{set:?}");
        assert!(stderr(&set).contains(told), "{set:?}");
    }
    assert_eq!(code(&cli(&cluster, &["bucket", "set", "carts", "r"]).await), 2);
}
