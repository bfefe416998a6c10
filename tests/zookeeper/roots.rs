//! Services that share an ensemble.

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Service};
use kv::coordination::tree::{Change, CreateMode, Outcome, Path, Refusal};
use kv::coordination::watch::Watched;

use crate::server::Server;

const TIMEOUT: Duration = Duration::from_secs(60);

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// Each sees what is below its root and nothing else, under the names that it gave.
#[tokio::test]
async fn services_see_what_is_below_their_root() {
    let Some(server) = Server::start().await else { return };
    let deep = server.service("/shared/one").open(TIMEOUT).await.expect("the root is made");
    let beside = server.service("/shared/one-b").open(TIMEOUT).await.expect("the root is made");
    let above = server.service("/shared").open(TIMEOUT).await.expect("the root is there");
    let mut watch = beside.watch(&Path::root(), Watched::Subtree).await.expect("a watch");

    let made = deep.create(&path("/n-"), Bytes::new(), CreateMode::PersistentSequential).await.expect("a new node").0;
    assert_eq!(made, path("/n-0000000000"));
    above.sync().await.expect("the session lives");
    assert_eq!(above.children(&Path::root()).await.expect("the root").value.names, ["one", "one-b"]);
    assert_eq!(above.children(&path("/one")).await.expect("a root").value.names, ["n-0000000000"]);
    beside.sync().await.expect("the session lives");
    assert_eq!(beside.children(&Path::root()).await.expect("the root").value.names, [""; 0]);

    above.create(&path("/one-b/new"), Bytes::new(), CreateMode::Persistent).await.expect("a new node");
    tokio::time::timeout(kv::coordination::conformance::PATIENCE, watch.changed())
        .await
        .expect("word of what is made below the root")
        .expect("the session lives");
}

/// The root is no node to be made or deleted by who lives below it, also as a part of a larger write.
#[tokio::test]
async fn the_root_of_a_service_stays() {
    let Some(server) = Server::start().await else { return };
    let session = server.service("/stays").open(TIMEOUT).await.expect("a session");
    let delete = || Change::Delete { path: Path::root(), expected: None };
    let create = |at: &str| Change::Create { path: path(at), data: Bytes::new(), mode: CreateMode::Persistent };
    let refused = |refusal| Err(Error::Refused(refusal));
    assert_eq!(session.multi(vec![create("/a"), delete()]).await, refused(Refusal::RootStays));
    let absent = Change::Delete { path: path("/absent"), expected: None };
    let no_node = Refusal::NoNode { path: path("/absent") };
    assert_eq!(session.multi(vec![absent, delete()]).await, refused(no_node), "the first that cannot be");
    let exists = Refusal::NodeExists { path: Path::root() };
    assert_eq!(session.multi(vec![create("/")]).await, refused(exists));
    assert_eq!(session.children(&Path::root()).await.expect("the root").value.names, [""; 0]);
}

/// What a write of several steps says of the nodes that it made is what is read of them.
#[tokio::test]
async fn nodes_made_in_one_write_are_as_it_says() {
    let Some(server) = Server::start().await else { return };
    let session = server.service("/multi").open(TIMEOUT).await.expect("a session");
    let create = |mode| Change::Create { path: path("/n-"), data: "data".into(), mode };
    let changes = vec![create(CreateMode::PersistentSequential), create(CreateMode::EphemeralSequential)];
    for outcome in session.multi(changes).await.expect("new nodes") {
        let Outcome::Created { path, stat } = outcome else { panic!("{outcome:?}") };
        assert_eq!(session.exists(&path).await.expect("an answer").value, Some(stat));
    }
}
