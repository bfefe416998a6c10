//! Single nodes: what is written is read, and what cannot be is refused.

use bytes::Bytes;

use super::{Harness, Stage, refused};
use crate::coordination::tree::{CreateMode, Path, Refusal, SEQUENCE_DIGITS};

/// A new node is read as it was made, and is at version 0.
pub async fn created_nodes_are_read(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    for (name, data) in [("text", &b"data"[..]), ("empty", b""), ("binary", b"\x00\xff")] {
        let asked = stage.path(name);
        let data = Bytes::copy_from_slice(data);
        let (path, stat) = stage.session.create(&asked, data.clone(), CreateMode::Persistent).await.unwrap();
        assert_eq!((&path, stat.version, stat.children_version), (&asked, 0, 0));
        assert_eq!((stat.owner, stat.data_bytes, stat.children), (None, data.len() as u64, 0));
        assert_eq!(stat.created, stat.modified);

        let read = stage.session.get(&path).await.unwrap();
        assert_eq!((&read.value.data, &read.value.stat), (&data, &stat));
        assert!(read.revision >= stat.created);
        assert_eq!(stage.stat(&path).await, Some(stat));
        assert_eq!(stage.names(&path).await, [""; 0]);
    }
}

/// A node is created only where none is, and only below one that is there and stays.
pub async fn nodes_are_created_once_and_below_others(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let create = async |path: &Path, mode| stage.session.create(path, Bytes::new(), mode).await.map(|(path, _)| path);

    let there = stage.make("there").await;
    let exists = refused(Refusal::NodeExists { path: there.clone() });
    assert_eq!(create(&there, CreateMode::Persistent).await, exists);
    assert_eq!(create(&there, CreateMode::Ephemeral).await, exists);

    let no_parent = refused(Refusal::NoNode { path: stage.path("absent") });
    for mode in [CreateMode::Persistent, CreateMode::Ephemeral, CreateMode::PersistentSequential] {
        assert_eq!(create(&stage.path("absent/child"), mode).await, no_parent);
    }

    let ephemeral = create(&stage.path("ephemeral"), CreateMode::Ephemeral).await.unwrap();
    let childless = refused(Refusal::NoChildrenForEphemerals { path: ephemeral });
    for mode in [CreateMode::Persistent, CreateMode::EphemeralSequential] {
        assert_eq!(create(&stage.path("ephemeral/child"), mode).await, childless);
    }
    assert_eq!(stage.names(&stage.root).await, ["ephemeral", "there"]);
}

/// Setting raises the version; setting and deleting ask for the expected one, if any.
pub async fn versions_guard_nodes(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (session, node) = (&stage.session, stage.make("node").await);
    let bad = |expected| Refusal::BadVersion { path: node.clone(), expected };

    assert_eq!(session.set(&node, "one".into(), Some(0)).await.unwrap().version, 1);
    assert_eq!(session.set(&node, "lost".into(), Some(0)).await, refused(bad(0)));
    assert_eq!(session.set(&node, "lost".into(), Some(7)).await, refused(bad(7)));
    assert_eq!(session.set(&node, "two".into(), None).await.unwrap().version, 2);
    let same = session.set(&node, "two".into(), Some(2)).await.unwrap();
    assert_eq!((same.version, same.data_bytes), (3, 3), "setting the same bytes is a change");

    let read = session.get(&node).await.unwrap().value;
    assert_eq!((&read.data[..], read.stat), (&b"two"[..], same));
    assert_eq!(session.delete(&node, Some(2)).await, refused(bad(2)));
    session.delete(&node, Some(3)).await.unwrap();

    let reborn = stage.make("node").await;
    assert_eq!(stage.stat(&reborn).await.unwrap().version, 0, "versions begin anew with the node");
}

/// A node without children is deleted, and then it is not there for anyone.
pub async fn nodes_are_deleted(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let session = &stage.session;
    let (node, child) = (stage.make("node").await, stage.make("node/child").await);
    assert_eq!(session.delete(&node, None).await, refused(Refusal::NotEmpty { path: node.clone() }));
    session.delete(&child, None).await.unwrap();
    session.delete(&node, None).await.unwrap();

    let gone = Refusal::NoNode { path: node.clone() };
    assert_eq!(session.delete(&node, None).await, refused(gone.clone()));
    assert_eq!(session.set(&node, Bytes::new(), None).await, refused(gone.clone()));
    assert_eq!(session.get(&node).await, refused(gone.clone()));
    assert_eq!(session.children(&node).await, refused(gone));
    assert_eq!(stage.stat(&node).await, None);
    assert_eq!(session.delete(&Path::root(), None).await, refused(Refusal::RootStays));
}

/// Children are listed by name in order, without what is below them; gaining and losing one is counted.
pub async fn children_are_listed(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let parent = stage.make("parent").await;
    for name in ["b", "a", "a-b", "ü", "a/deep"] {
        stage.make(&format!("parent/{name}")).await;
    }
    stage.make("parent-not").await;
    assert_eq!(stage.names(&parent).await, ["a", "a-b", "b", "ü"]);
    let counted = stage.stat(&parent).await.unwrap();
    assert_eq!((counted.children, counted.children_version, counted.version), (4, 4, 0));

    stage.session.delete(&stage.path("parent/b"), None).await.unwrap();
    stage.session.set(&stage.path("parent/a"), "data".into(), None).await.unwrap();
    let listing = stage.session.children(&parent).await.unwrap().value;
    assert_eq!(listing.names, ["a", "a-b", "ü"]);
    assert_eq!((listing.stat.children, listing.stat.children_version), (3, 5));
}

/// Sequential nodes get rising numbers of ten digits, which do not come again when a node is deleted.
pub async fn sequential_nodes_are_numbered(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let parent = stage.make("parent").await;
    let other = stage.open().await;
    let mut last = None;
    for round in 0..12 {
        let (name, mode) = match round % 3 {
            0 => ("n-", CreateMode::PersistentSequential),
            1 => ("a-", CreateMode::EphemeralSequential),
            _ => ("n", CreateMode::PersistentSequential),
        };
        let by = if round % 2 == 0 { &stage.session } else { &other };
        let (path, _) = by.create(&stage.path(&format!("parent/{name}")), Bytes::new(), mode).await.unwrap();
        let digits = path.name().strip_prefix(name).expect("the name that was asked for, and a number");
        assert_eq!(digits.len(), SEQUENCE_DIGITS, "{path}");
        let number: u64 = digits.parse().expect("digits");
        assert!(last < Some(number), "{path} after {last:?}");
        last = Some(number);
        if round % 4 == 3 {
            stage.session.delete(&path, None).await.unwrap();
        }
    }
    assert_eq!(stage.names(&parent).await.len(), 9);
}

/// Each write raises the revision, whatever node it is about.
pub async fn revisions_rise(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let mut last = stage.stat(&stage.root).await.unwrap().created;
    for name in ["a", "b", "c"] {
        let created = stage.session.create(&stage.path(name), Bytes::new(), CreateMode::Persistent).await.unwrap().1;
        assert!(created.created > last, "{:?} after {last:?}", created.created);
        let set = stage.session.set(&stage.path("a"), Bytes::new(), None).await.unwrap();
        assert!(set.modified > created.created && set.created < set.modified);
        last = set.modified;
        assert!(stage.session.get(&stage.path(name)).await.unwrap().revision >= last);
    }
}

/// Half a mebibyte is stored; more than one is refused, and the session goes on.
pub async fn large_data_is_stored_and_larger_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let large = Bytes::from(vec![7; 1 << 19]);
    let node = stage.path("large");
    stage.session.create(&node, large.clone(), CreateMode::Persistent).await.unwrap();
    let too_large = Bytes::from(vec![7; (1 << 20) + 1]);
    let error = stage.session.set(&node, too_large, None).await.unwrap_err();
    assert!(matches!(error, super::Error::Refused(Refusal::TooMuch { .. })), "{error}");
    assert!(stage.session.get(&node).await.unwrap().value.data == large);
}
