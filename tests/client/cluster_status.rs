//! `kv-cli cluster status`: what it makes of a node's report.

use kv::core::id::{Epoch, NodeId, StoreId};
use kv::core::ring::change::{Action, Direction, Hold, Origin, Standing};
use kv::wire::change::{ChangeReport, DownReport, Phases};
use kv::wire::report::{
    ClusterReport, Finding, Gap, LeaseReport, Liveness, MemberReport, NookeeperReport, ServiceReport, SessionState,
    StoreFate, UnderReplicated,
};
use serde_json::json;

use crate::fake_node::FakeCluster;
use crate::kv_cli::{cli, code, document, stdout};

fn member(node: u32, up: bool, liveness: Liveness) -> MemberReport {
    MemberReport {
        node: NodeId(node),
        store: StoreId((0xab00_0000 + u128::from(node)) << 96),
        address: format!("host{node}:8000"),
        zone: String::new(),
        weight: 1,
        standing: Standing::Owner,
        partitions: 64,
        up,
        trouble: (!up).then(|| "connection refused".into()),
        liveness,
    }
}

fn live(session: u64, silent_ms: u64) -> Liveness {
    Liveness::Live { session, timeout_ms: Some(10_000), silent_ms: Some(silent_ms), epoch: None }
}

fn healthy() -> ClusterReport {
    ClusterReport {
        cluster: "shop".into(),
        asked: NodeId(1),
        epoch: Epoch { generation: 0, counter: 5 },
        partitions: 64,
        replication: 3,
        service: Some(ServiceReport::Nookeeper(NookeeperReport {
            leader: Some(NodeId(2)),
            term: 4,
            revision: 320,
            ..NookeeperReport::default()
        })),
        session: Some(SessionState { session: 1, timeout_ms: 10_000, connected: true }),
        lease: LeaseReport { left_ms: 8_200 },
        members: vec![member(1, true, live(1, 300)), member(2, true, live(2, 100)), member(3, true, live(3, 200))],
        under_replicated: UnderReplicated::default(),
        change: None,
        staged: vec![],
        down: vec![],
        findings: vec![],
    }
}

async fn showing(report: ClusterReport) -> FakeCluster {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.nodes[0].show_cluster(report);
    cluster
}

#[tokio::test]
async fn a_healthy_cluster_is_told_in_few_words() {
    let cluster = showing(healthy()).await;
    let status = cli(&cluster, &["cluster", "status"]).await;
    assert_eq!(code(&status), 0, "{status:?}");
    let lines: Vec<_> = stdout(&status).lines().collect();
    assert_eq!(lines[0], "cluster shop, ring epoch 0.5, 64 partitions, replication 3, as node 1 sees it");
    assert_eq!(lines[1], "coordination: leader node 2, term 4, voters -, revision 320");
    assert_eq!(lines[2], "node 1: session 0x1 of 10.0 s, connected; lease held for 8.2 s more");
    let words: Vec<_> = lines[5].split_whitespace().collect();
    assert_eq!(words, ["1", "host1:8000", "owner", "-", "1", "64", "up", "0x1", "300.0", "ms", "ago", "ab000001"]);
    assert_eq!(lines.last(), Some(&"Every partition has all its 3 owners."));
}

#[tokio::test]
async fn troubles_are_told_with_what_will_happen_and_what_to_type() {
    let mut report = healthy();
    report.members[2] = member(3, false, live(3, 6_000));
    let gap = Gap { node: NodeId(3), store: StoreId(3), partitions: 64 };
    report.under_replicated = UnderReplicated { partitions: 64, without_owner: 0, gaps: vec![gap] };
    let unreached = Finding::NodeUnreached {
        node: NodeId(3),
        partitions: 64,
        reason: "connection refused".into(),
        session_ends_ms: Some(4_000),
    };
    let fate = StoreFate::RolledBack { address: "host9:8000".into(), shown: 3, registered: 7 };
    report.findings = vec![unreached, Finding::Store { store: StoreId(0xff), node: NodeId(2), fate }];
    let cluster = showing(report).await;
    let servers = cluster.addresses().join(",");
    let status = cli(&cluster, &["cluster", "status", "--servers", &servers]).await;
    let text = stdout(&status);
    for expected in [
        "Under-replicated: 64 of 64 partitions lack an owner: 64 for node 3.".to_string(),
        "* Node 3 cannot be reached (connection refused)".into(),
        "The session ends in 4.0 s".into(),
        format!("      kv-cli --servers {servers} status\n"),
        "called with start 3, but 7 was seen".into(),
        format!("coord delete /kv/alarms/{:032x} --force", 0xff),
    ] {
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
}

#[tokio::test]
async fn every_finding_says_what_to_type() {
    let node = NodeId(3);
    let store = |fate| Finding::Store { store: StoreId(1), node, fate };
    let address = || "host9:8000".to_string();
    let findings = vec![
        Finding::NoOwner { partitions: 2 },
        Finding::LeaseOver,
        Finding::LeaseEnds { in_ms: 900 },
        Finding::NoSession,
        Finding::NoLeader { reached: 1, needed: 2 },
        Finding::ServiceTrouble { reason: "the disk failed".into() },
        store(StoreFate::RolledBack { address: address(), shown: 1, registered: 2 }),
        store(StoreFate::Cloned { address: address() }),
        store(StoreFate::CameBack { address: address() }),
        store(StoreFate::Replaced { by: None }),
        Finding::NodeDown { node, partitions: 64 },
        Finding::NodeUnreached { node, partitions: 64, reason: "silent".into(), session_ends_ms: None },
        Finding::NodeWithoutSession { node },
        Finding::NodeBehind { node, epoch: Epoch::default() },
        Finding::OwnsNothing { node },
        Finding::Staged { actions: 2 },
        Finding::NoVoterToSpare { reached: 2, needed: 2 },
    ];
    let count = findings.len();
    let cluster = showing(ClusterReport { findings, ..healthy() }).await;
    let status = cli(&cluster, &["cluster", "status"]).await;
    let blocks: Vec<_> = stdout(&status).split("\n* ").skip(1).collect();
    assert_eq!(blocks.len(), count);
    for block in blocks {
        assert!(block.lines().last().unwrap().trim_start().starts_with("kv-cli "), "{block}");
    }
    let status = document(&cli(&cluster, &["cluster", "status", "--json"]).await);
    assert_eq!(status["findings"].as_array().unwrap().len(), count);
    assert_eq!(
        (&status["epoch"], &status["findings"][0]),
        (&json!("0.5"), &json!({ "no_owner": { "partitions": 2 } }))
    );
}

#[tokio::test]
async fn a_certain_node_can_be_asked() {
    let cluster = showing(healthy()).await;
    assert_eq!(code(&cli(&cluster, &["cluster", "status", "--node", "1"]).await), 0);
    let unknown = cli(&cluster, &["cluster", "status", "--node", "9"]).await;
    assert_eq!(code(&unknown), 2, "{unknown:?}");
}

#[tokio::test]
async fn a_change_and_who_waits_for_it_are_told() {
    let mut report = healthy();
    report.change = Some(Box::new(ChangeReport {
        number: 3,
        origin: Origin::Operator,
        through: NodeId(1),
        actions: vec![Action::Join { node: NodeId(4) }],
        direction: Direction::Forward,
        committed_ms: 0,
        ended_ms: None,
        epoch: report.epoch,
        phases: Phases { pending: 4, done: 12, ..Phases::default() },
        waiting: vec![],
        waiting_left_off: 0,
        stores: vec![],
    }));
    report.members[1].standing = Standing::Leaving;
    report.members.push(MemberReport { standing: Standing::Guest, partitions: 0, ..member(5, true, live(5, 0)) });
    report.findings =
        vec![Finding::NodeDown { node: NodeId(3), partitions: 64 }, Finding::OwnsNothing { node: NodeId(5) }];
    let hold = Some(Hold::ChangeRuns { number: 3 });
    report.down = vec![DownReport { node: NodeId(3), store: StoreId(3), since_ms: 0, hold, is_automatic: true }];
    let cluster = showing(report).await;
    let status = cli(&cluster, &["cluster", "status"]).await;
    let text = stdout(&status);
    for expected in [
        "change 3 (node 4 joins): 12 of 16 partitions done, 4 pending; `kv-cli cluster watch`\n",
        "2     host2:8000  leaving",
        "5     host5:8000  guest",
        "It is not removed by itself: change 3 is under way.",
        "* Node 5 owns nothing",
        "      kv-cli cluster join 5\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}
