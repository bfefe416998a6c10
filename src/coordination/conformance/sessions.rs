//! Sessions: what lives with them, and how they end.

use bytes::Bytes;

use super::{Harness, PATIENCE, Stage};
use crate::coordination::api::{Error, Session, SessionState};
use crate::coordination::tree::{Change, CreateMode};
use crate::coordination::watch::Watched;

/// One ephemeral and one persistent node.
async fn make_both(stage: &Stage<'_>, session: &dyn Session) {
    let (made, stat) =
        session.create(&stage.path("ephemeral"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    assert_eq!((&made, stat.owner), (&stage.path("ephemeral"), Some(session.id())));
    session.create(&stage.path("persistent"), Bytes::new(), CreateMode::Persistent).await.expect("a new node");
    stage.session.sync().await.unwrap();
    assert_eq!(stage.names(&stage.root).await, ["ephemeral", "persistent"]);
}

/// Ephemeral nodes go with the closing of their session, the others stay; then somebody else may take their place.
pub async fn ephemerals_vanish_when_their_session_is_closed(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let session = stage.open().await;
    make_both(&stage, &*session).await;
    session.close().await.unwrap();
    stage.session.sync().await.unwrap();
    assert_eq!(stage.names(&stage.root).await, ["persistent"]);
    let mine = stage.session.create(&stage.path("ephemeral"), Bytes::new(), CreateMode::Ephemeral).await;
    assert_eq!(mine.unwrap().1.owner, Some(stage.session.id()));
}

/// Ephemeral nodes go when their holder gives no sign of life for its timeout, also those made in a multi.
pub async fn ephemerals_vanish_when_their_holder_dies(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let doomed = stage.open_doomed().await;
    make_both(&stage, &*doomed).await;
    let ephemeral =
        |below| Change::Create { path: stage.path(below), data: Bytes::new(), mode: CreateMode::EphemeralSequential };
    doomed.multi(vec![ephemeral("persistent/n-"), ephemeral("n-")]).await.unwrap();
    harness.kill(doomed).await;
    stage.session.sync().await.unwrap();
    assert_eq!(stage.names(&stage.root).await, ["persistent"]);
    assert_eq!(stage.names(&stage.path("persistent")).await, [""; 0]);
    stage.session.renew().await.unwrap();
}

/// A session that has ended says so and does nothing more.
pub async fn ended_sessions_are_refused_everything(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (node, session) = (stage.make("node").await, stage.open().await);
    let mut state = session.state();
    assert_eq!(*state.borrow(), SessionState::Connected);
    session.close().await.unwrap();
    let ended = state.wait_for(|state| *state == SessionState::Expired);
    tokio::time::timeout(PATIENCE, ended).await.expect("the end in time").expect("the end");

    let check = Change::Check { path: node.clone(), expected: None };
    let created = session.create(&stage.path("late"), Bytes::new(), CreateMode::Persistent).await;
    assert_eq!(created, Err(Error::SessionExpired));
    assert_eq!(session.set(&node, Bytes::new(), None).await, Err(Error::SessionExpired));
    assert_eq!(session.delete(&node, None).await, Err(Error::SessionExpired));
    assert_eq!(session.multi(vec![check]).await, Err(Error::SessionExpired));
    assert_eq!(session.get(&node).await, Err(Error::SessionExpired));
    assert_eq!(session.exists(&node).await, Err(Error::SessionExpired));
    assert_eq!(session.children(&node).await, Err(Error::SessionExpired));
    assert_eq!(session.sync().await, Err(Error::SessionExpired));
    assert_eq!(session.renew().await, Err(Error::SessionExpired));
    assert_eq!(session.close().await, Err(Error::SessionExpired));
    assert!(matches!(session.watch(&node, Watched::Node).await, Err(Error::SessionExpired)));
    assert_eq!(stage.names(&stage.root).await, ["node"]);
}

/// Each session has an id of its own, also after others have ended.
pub async fn sessions_are_told_apart(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let mut ids = vec![stage.session.id()];
    for _ in 0..3 {
        let session = stage.open().await;
        assert!(!ids.contains(&session.id()), "{} again", session.id());
        ids.push(session.id());
        session.close().await.unwrap();
    }
}
