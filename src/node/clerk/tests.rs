//! The clerk over a service in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Clerk, Visit};
use crate::config::NodeEntry;
use crate::coordination::SharedSession;
use crate::coordination::api::Service;
use crate::coordination::local::Local;
use crate::coordination::registry::{self, Founding};
use crate::coordination::status::SharedStatus;
use crate::core::bucket::QuorumSize;
use crate::core::id::{ClusterId, Epoch, NodeId, StoreId};
use crate::wire::tree::{Seen, TreeAnswer, TreeFailure, TreeRequest, Watched};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test may take: who waits so long fails.
const LONG: Duration = Duration::from_secs(20);

/// A node with a session.
async fn clerk(service: &Local) -> Arc<Clerk> {
    let clerk = Clerk::new(NodeId(1), SharedSession::default(), SharedStatus::default(), || 0);
    connect(&clerk, service).await;
    clerk
}

async fn connect(clerk: &Clerk, service: &Local) {
    clerk.shared_session().store(Some(Arc::new(service.open(SECOND).await.unwrap())));
}

pub(super) async fn visit(service: &Local) -> Visit {
    Visit::new(clerk(service).await)
}

fn create(path: &str, held: bool) -> TreeRequest {
    TreeRequest::Create { path: path.into(), data: Bytes::from_static(b"data"), sequential: false, held }
}

fn set(path: &str, expected: Option<u64>) -> TreeRequest {
    TreeRequest::Set { path: path.into(), data: Bytes::from_static(b"new"), expected }
}

fn get(path: &str) -> TreeRequest {
    TreeRequest::Get { path: path.into(), sync: true }
}

fn list(path: &str, recursive: bool) -> TreeRequest {
    TreeRequest::List { path: path.into(), recursive, sync: false }
}

fn watch(path: &str, subtree: bool, seen: Option<Seen>, wait: Duration) -> TreeRequest {
    TreeRequest::Watch { path: path.into(), subtree, seen, wait_ms: wait.as_millis() as u32 }
}

pub(super) async fn done(visit: &Visit, request: TreeRequest) -> TreeAnswer {
    visit.perform(request, LONG).await.unwrap()
}

pub(super) async fn refused(visit: &Visit, request: TreeRequest) -> TreeFailure {
    visit.perform(request, LONG).await.unwrap_err()
}

async fn watched(visit: &Visit, path: &str, subtree: bool, seen: Option<Seen>) -> Watched {
    match done(visit, watch(path, subtree, seen, LONG)).await {
        TreeAnswer::Watched(watched) => watched,
        other => panic!("{other:?}"),
    }
}

async fn is_there(service: &Local, path: &str) -> bool {
    let session = service.open(SECOND).await.unwrap();
    session.exists(&path.parse().unwrap()).await.unwrap().value.is_some()
}

#[tokio::test]
async fn without_a_session_it_says_so() {
    let visit = Visit::new(Clerk::new(NodeId(7), SharedSession::default(), SharedStatus::default(), || 0));
    for request in [get("/"), set("/a", None), watch("/", false, None, LONG), TreeRequest::Buckets] {
        let failure = refused(&visit, request).await;
        assert!(matches!(failure, TreeFailure::NotConnected { node: NodeId(7), .. }), "{failure}");
        assert!(failure.retryable() && !failure.outcome_unknown());
    }
}

#[tokio::test]
async fn a_session_that_ended_is_no_end() {
    let service = Local::new();
    let clerk = clerk(&service).await;
    let visit = Visit::new(clerk.clone());
    service.tick(5_000);
    assert!(matches!(refused(&visit, get("/")).await, TreeFailure::NotConnected { .. }));
    connect(&clerk, &service).await;
    assert!(matches!(done(&visit, get("/")).await, TreeAnswer::Node(_)));
}

#[tokio::test]
async fn nodes_are_made_read_set_and_deleted() {
    let visit = visit(&Local::new()).await;
    let TreeAnswer::Written { path, stat } = done(&visit, create("/a", false)).await else { panic!() };
    assert_eq!((path.as_str(), stat.version, stat.owner), ("/a", 0, None));
    let TreeAnswer::Written { stat, .. } = done(&visit, set("/a", Some(0))).await else { panic!() };
    assert_eq!(stat.version, 1);
    let TreeAnswer::Node(node) = done(&visit, get("/a")).await else { panic!() };
    assert_eq!((&node.data[..], node.stat.version, node.revision), (&b"new"[..], 1, 2));
    assert_eq!(done(&visit, TreeRequest::Delete { path: "/a".into(), expected: Some(1) }).await, TreeAnswer::Deleted);
    assert_eq!(refused(&visit, get("/a")).await, TreeFailure::NoNode { path: "/a".into() });
}

#[tokio::test]
async fn refusals_say_what_is_there() {
    let visit = visit(&Local::new()).await;
    done(&visit, create("/a", false)).await;
    done(&visit, set("/a", None)).await;
    let bad_version = TreeFailure::BadVersion { path: "/a".into(), expected: 7, present: Some(1) };
    assert_eq!(refused(&visit, set("/a", Some(7))).await, bad_version);
    assert_eq!(bad_version.to_string(), "/a is not at version 7 but at 1");
    assert_eq!(refused(&visit, create("/a", false)).await, TreeFailure::NodeExists { path: "/a".into() });
    assert_eq!(refused(&visit, create("/b/c", false)).await, TreeFailure::NoNode { path: "/b".into() });
    assert!(matches!(refused(&visit, get("a/b")).await, TreeFailure::Invalid { .. }));
    assert!(matches!(
        refused(&visit, TreeRequest::Delete { path: "/".into(), expected: None }).await,
        TreeFailure::Refused { .. }
    ));
}

#[tokio::test]
async fn listings_go_down_if_asked() {
    let visit = visit(&Local::new()).await;
    for path in ["/a", "/a/c", "/a/b", "/a/b/d"] {
        done(&visit, create(path, false)).await;
    }
    let names = async |path, recursive| match done(&visit, list(path, recursive)).await {
        TreeAnswer::Listing { names, left_off: false, stat, .. } => (names, stat.children),
        other => panic!("{other:?}"),
    };
    assert_eq!(names("/a", false).await, (vec!["b".into(), "c".into()], 2));
    assert_eq!(names("/a", true).await.0, ["b", "b/d", "c"]);
    assert_eq!(names("/", true).await.0, ["a", "a/b", "a/b/d", "a/c"]);
    assert_eq!(refused(&visit, list("/x", true)).await, TreeFailure::NoNode { path: "/x".into() });
}

#[tokio::test]
async fn a_watch_tells_what_was_not_seen() {
    let service = Local::new();
    let (visit, other) = (visit(&service).await, visit(&service).await);
    let absent = watched(&visit, "/a", false, None).await;
    assert!(absent.nodes.is_empty());

    let waiting = watched(&visit, "/a", false, Some(absent.seen));
    let (made, _) = tokio::join!(waiting, done(&other, create("/a", false)));
    assert_eq!(made.nodes[0].data.as_deref(), Some(&b"data"[..]));

    // A change between two questions is not missed, and another node can be asked.
    done(&visit, create("/a/b", false)).await;
    let grown = watched(&other, "/a", false, Some(made.seen)).await;
    assert_eq!(grown.children, ["b"]);
    done(&visit, set("/a/b", None)).await;
    let unchanged = done(&visit, watch("/a", false, Some(grown.seen), Duration::from_millis(20))).await;
    assert_eq!(unchanged, TreeAnswer::Unchanged);
}

#[tokio::test]
async fn a_subtree_is_watched_to_its_leaves() {
    let service = Local::new();
    let (visit, other) = (visit(&service).await, visit(&service).await);
    for path in ["/a", "/a/b", "/a/b/c"] {
        done(&visit, create(path, false)).await;
    }
    let before = watched(&visit, "/a", true, None).await;
    let paths: Vec<_> = before.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/a/b", "/a/b/c"]);
    let (after, _) = tokio::join!(watched(&visit, "/a", true, Some(before.seen)), done(&other, set("/a/b/c", None)));
    assert_eq!(after.nodes[2].stat.version, 1);
}

#[tokio::test]
async fn watches_are_bounded_and_end_with_the_visit() {
    let service = Local::new();
    let visit = Arc::new(visit(&service).await);
    let seen = watched(&visit, "/a", false, None).await.seen;
    let waiting: Vec<_> = (0..super::visit::WATCHES_MAX)
        .map(|_| {
            let visit = visit.clone();
            tokio::spawn(async move { visit.perform(watch("/a", false, Some(seen), LONG), LONG).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let failure = refused(&visit, watch("/a", false, None, LONG)).await;
    assert!(matches!(failure, TreeFailure::TooMany { limit: super::visit::WATCHES_MAX, .. }), "{failure}");
    visit.hurry();
    for watch in waiting {
        assert_eq!(watch.await.unwrap(), Err(TreeFailure::ShuttingDown));
    }
}

#[tokio::test]
async fn what_is_held_goes_with_the_visit_and_nothing_else_does() {
    let service = Local::new();
    let clerk = clerk(&service).await;
    let (visit, other) = (Visit::new(clerk.clone()), Visit::new(clerk));
    for path in ["/mine", "/changed", "/replaced"] {
        done(&visit, create(path, true)).await;
    }
    done(&other, create("/others", true)).await;
    done(&other, set("/changed", None)).await;
    done(&other, TreeRequest::Delete { path: "/replaced".into(), expected: None }).await;
    done(&other, create("/replaced", true)).await;
    assert!(matches!(refused(&visit, create("/mine/x", false)).await, TreeFailure::Refused { .. }));
    visit.leave().await;
    let there = [
        is_there(&service, "/mine").await,
        is_there(&service, "/changed").await,
        is_there(&service, "/replaced").await,
        is_there(&service, "/others").await,
    ];
    assert_eq!(there, [false, false, true, true]);
    // A request that was on its way when the visit ended leaves nothing behind.
    done(&visit, create("/late", true)).await;
    assert!(!is_there(&service, "/late").await);
}

#[tokio::test]
async fn held_nodes_are_bounded() {
    let visit = visit(&Local::new()).await;
    for number in 0..super::visit::HELD_MAX {
        done(&visit, create(&format!("/n{number}"), true)).await;
    }
    let failure = refused(&visit, create("/more", true)).await;
    assert!(matches!(failure, TreeFailure::TooMany { limit: super::visit::HELD_MAX, .. }), "{failure}");
}

#[tokio::test]
async fn buckets_are_set_with_a_new_epoch() {
    let service = Local::new();
    let visit = visit(&service).await;
    assert!(matches!(refused(&visit, TreeRequest::Buckets).await, TreeFailure::Refused { .. }));
    found(&service).await;
    let TreeAnswer::Buckets(before) = done(&visit, TreeRequest::Buckets).await else { panic!() };
    assert_eq!(before.buckets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["default"]);

    let change = |properties: &[(&str, &str)]| TreeRequest::SetBucket {
        bucket: "carts".into(),
        properties: properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
    };
    let TreeAnswer::BucketSet { epoch, bucket, .. } = done(&visit, change(&[("r", "one"), ("w", "all")])).await else {
        panic!()
    };
    assert_eq!((bucket.r, bucket.w), (QuorumSize::One, QuorumSize::All));
    assert_eq!(epoch, Epoch { counter: before.epoch.counter + 1, ..before.epoch });
    for wrong in [&[("r", "many")][..], &[("colour", "red")], &[("n", "9")], &[]] {
        let failure = refused(&visit, change(wrong)).await;
        assert!(matches!(failure, TreeFailure::Invalid { .. }), "{wrong:?}: {failure}");
    }
}

/// A cluster of three nodes.
pub(super) async fn found(service: &Local) {
    let node = |id: u32| (NodeEntry::new(NodeId(id), format!("localhost:{id}")), Some(StoreId(id.into())));
    let founding = Founding {
        id: ClusterId(1),
        name: "test".into(),
        partitions: 16,
        replication: 3,
        nodes: (1..=3).map(node).collect(),
        voters: (1..=3).map(NodeId).collect(),
        auto_remove_after_ms: None,
        buckets: BTreeMap::new(),
    };
    let session = service.open(SECOND).await.unwrap();
    registry::found(&*session, &founding, 0, &mut StoreId::default).await.unwrap();
}
