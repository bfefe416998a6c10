//! Watches: no change that they watch stays unnoticed.

use bytes::Bytes;

use super::{Harness, Stage, told};
use crate::coordination::api::{Error, Session, Watch};
use crate::coordination::tree::{Change, CreateMode, Path};
use crate::coordination::watch::Watched;

/// Waits until the watch has told and the change can be read.
async fn notice(stage: &Stage<'_>, watch: &mut dyn Watch, is_seen: impl AsyncFn(&Stage<'_>) -> bool) {
    loop {
        told(watch).await.expect("the session lives");
        if is_seen(stage).await {
            return;
        }
    }
}

async fn create(session: &dyn Session, path: &Path) {
    session.create(path, Bytes::new(), CreateMode::Persistent).await.expect("a new node");
}

/// A node that is not there yet is watched as it comes, changes, goes and comes again.
pub async fn watches_tell_of_a_node(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (writer, node) = (stage.open().await, stage.path("node"));
    let mut watch = stage.watch(&node, Watched::Node).await;
    for _ in 0..2 {
        create(&*writer, &node).await;
        notice(&stage, &mut *watch, async |stage| stage.stat(&node).await.is_some()).await;
        for version in 1..=3 {
            writer.set(&node, Bytes::new(), None).await.unwrap();
            let is_seen = async |stage: &Stage<'_>| stage.stat(&node).await.is_some_and(|s| s.version == version);
            notice(&stage, &mut *watch, is_seen).await;
        }
        writer.delete(&node, None).await.unwrap();
        notice(&stage, &mut *watch, async |stage| stage.stat(&node).await.is_none()).await;
    }
}

/// Children that come and go are told, and that their parent does.
pub async fn watches_tell_of_children(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (writer, parent, child) = (stage.open().await, stage.path("parent"), stage.path("parent/child"));
    let mut watch = stage.watch(&parent, Watched::Children).await;
    create(&*writer, &parent).await;
    notice(&stage, &mut *watch, async |stage| stage.stat(&parent).await.is_some()).await;
    for _ in 0..2 {
        create(&*writer, &child).await;
        notice(&stage, &mut *watch, async |stage| stage.names(&parent).await == ["child"]).await;
        writer.delete(&child, None).await.unwrap();
        notice(&stage, &mut *watch, async |stage| stage.names(&parent).await.is_empty()).await;
    }
    writer.delete(&parent, None).await.unwrap();
    notice(&stage, &mut *watch, async |stage| stage.stat(&parent).await.is_none()).await;
}

/// All that happens to nodes below is told, however deep, and whatever write it was part of.
pub async fn watches_tell_of_a_subtree(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (writer, top) = (stage.open().await, stage.make("top").await);
    let (middle, deep) = (stage.path("top/middle"), stage.path("top/middle/deep"));
    let mut watch = stage.watch(&top, Watched::Subtree).await;
    let new = |path: &Path| Change::Create { path: path.clone(), data: Bytes::new(), mode: CreateMode::Persistent };
    writer.multi(vec![new(&middle), new(&deep)]).await.unwrap();
    notice(&stage, &mut *watch, async |stage| stage.stat(&deep).await.is_some()).await;
    writer.set(&deep, Bytes::new(), None).await.unwrap();
    notice(&stage, &mut *watch, async |stage| stage.stat(&deep).await.is_some_and(|s| s.version == 1)).await;
    writer.set(&top, Bytes::new(), None).await.unwrap();
    notice(&stage, &mut *watch, async |stage| stage.stat(&top).await.is_some_and(|s| s.version == 1)).await;
    writer.delete(&deep, None).await.unwrap();
    notice(&stage, &mut *watch, async |stage| stage.stat(&deep).await.is_none()).await;
}

/// A node that vanishes with its session is told like one that is deleted.
pub async fn watches_tell_of_vanished_ephemerals(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (doomed, node) = (stage.open_doomed().await, stage.path("ephemeral"));
    doomed.create(&node, Bytes::new(), CreateMode::Ephemeral).await.unwrap();
    stage.session.sync().await.unwrap();
    let mut of_node = stage.watch(&node, Watched::Node).await;
    let mut of_children = stage.watch(&stage.root, Watched::Children).await;
    harness.kill(doomed).await;
    notice(&stage, &mut *of_node, async |stage| stage.stat(&node).await.is_none()).await;
    notice(&stage, &mut *of_children, async |stage| stage.names(&stage.root).await.is_empty()).await;
}

/// Who reads each time it is told ends with the last value, whatever it skipped, and never reads an older one after a newer.
pub async fn watches_leave_no_change_unnoticed(harness: &dyn Harness) {
    const CHANGES: u64 = 200;
    let stage = Stage::new(harness).await;
    let (writer, node) = (stage.open().await, stage.make("node").await);
    let mut watch = stage.watch(&node, Watched::Node).await;
    let reading = async {
        let mut last = 0;
        while last < CHANGES {
            told(&mut *watch).await.expect("the session lives");
            let stat = stage.stat(&node).await.expect("it is never deleted");
            assert!(stat.version >= last, "{} after {last}", stat.version);
            last = stat.version;
        }
    };
    let writing = async {
        for change in 0..CHANGES {
            writer.set(&node, Bytes::new(), None).await.expect("no one else writes");
            // Now and then the reader is given time, so that it is told in between.
            if change % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// A watch whose session has ended says so instead of waiting for ever; those of other sessions go on.
pub async fn watches_end_with_their_session(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (node, session) = (stage.make("node").await, stage.open().await);
    let mut ended = session.watch(&node, Watched::Node).await.unwrap();
    let mut other = stage.watch(&node, Watched::Node).await;
    session.close().await.unwrap();
    // A provider may tell what it had to tell before.
    while told(&mut *ended).await != Err(Error::SessionExpired) {}
    stage.session.set(&node, Bytes::new(), None).await.unwrap();
    notice(&stage, &mut *other, async |stage| stage.stat(&node).await.is_some_and(|s| s.version == 1)).await;
}
