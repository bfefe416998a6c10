//! Writes of several steps, of several sessions, and what reads see of them.

use bytes::Bytes;

use super::{Harness, Stage, refused};
use crate::coordination::api::{Error, Session};
use crate::coordination::tree::{Change, CreateMode, Outcome, Path, Refusal};

fn create(path: &Path) -> Change {
    Change::Create { path: path.clone(), data: Bytes::new(), mode: CreateMode::Persistent }
}

fn set(path: &Path, expected: Option<u64>) -> Change {
    Change::Set { path: path.clone(), data: "set".into(), expected }
}

fn delete(path: &Path) -> Change {
    Change::Delete { path: path.clone(), expected: None }
}

fn check(path: &Path, expected: Option<u64>) -> Change {
    Change::Check { path: path.clone(), expected }
}

/// If one step cannot be, none has been.
pub async fn multi_is_all_or_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (there, full) = (stage.make("there").await, stage.make("full").await);
    stage.make("full/child").await;
    let (new, absent) = (stage.path("new"), stage.path("absent"));
    let numbered =
        Change::Create { path: stage.path("full/n-"), data: Bytes::new(), mode: CreateMode::PersistentSequential };
    let before = (stage.stat(&there).await, stage.stat(&full).await, stage.names(&stage.root).await);

    let failing = [
        (create(&there), Refusal::NodeExists { path: there.clone() }),
        (set(&there, Some(0)), Refusal::BadVersion { path: there.clone(), expected: 0 }),
        (set(&absent, None), Refusal::NoNode { path: absent.clone() }),
        (delete(&full), Refusal::NotEmpty { path: full.clone() }),
        (delete(&absent), Refusal::NoNode { path: absent.clone() }),
        (check(&there, Some(4)), Refusal::BadVersion { path: there.clone(), expected: 4 }),
        (check(&absent, None), Refusal::NoNode { path: absent.clone() }),
    ];
    for (last, refusal) in failing {
        let changes = vec![create(&new), numbered.clone(), set(&there, Some(0)), set(&new, None), last];
        assert_eq!(stage.session.multi(changes).await, refused(refusal));
        let after = (stage.stat(&there).await, stage.stat(&full).await, stage.names(&stage.root).await);
        assert_eq!(after, before);
    }
}

/// A step sees those before it; all of them have one revision.
pub async fn multi_sees_its_own_changes(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (parent, child, brief) = (stage.path("parent"), stage.path("parent/child"), stage.path("brief"));
    let changes = vec![
        create(&parent),
        create(&child),
        set(&parent, Some(0)),
        check(&parent, Some(1)),
        create(&brief),
        delete(&brief),
    ];
    let outcomes = stage.session.multi(changes).await.unwrap();
    let [Outcome::Created { path: first, .. }, Outcome::Created { .. }, Outcome::Set(at_set), rest @ ..] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((first, at_set.version), (&parent, 1));
    let [Outcome::Checked, Outcome::Created { .. }, Outcome::Deleted] = rest else { panic!("{outcomes:?}") };

    let (above, below) = (stage.stat(&parent).await.unwrap(), stage.stat(&child).await.unwrap());
    assert_eq!((above.created, above.modified), (below.created, below.created));
    assert_eq!((above.version, above.children, stage.stat(&brief).await), (1, 1, None));
}

/// A check alone changes nothing and fails when it should.
pub async fn multi_checks(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let node = stage.make("node").await;
    let before = stage.stat(&node).await;
    for expected in [None, Some(0)] {
        assert_eq!(stage.session.multi(vec![check(&node, expected)]).await, Ok(vec![Outcome::Checked]));
    }
    let bad = Refusal::BadVersion { path: node.clone(), expected: 1 };
    assert_eq!(stage.session.multi(vec![check(&node, Some(1))]).await, refused(bad));
    assert_eq!(stage.stat(&node).await, before);
}

/// Reads, adds one, and writes if nobody was faster, until it has done so `times`.
async fn increment(session: &dyn Session, counter: &Path, times: usize) {
    let mut done = 0;
    while done < times {
        let read = session.get(counter).await.unwrap().value;
        let count: usize = String::from_utf8_lossy(&read.data).parse().unwrap_or(0);
        match session.set(counter, (count + 1).to_string().into(), Some(read.stat.version)).await {
            Ok(_) => done += 1,
            // The read may have been stale.
            Err(Error::Refused(Refusal::BadVersion { .. })) => session.sync().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Versions make one writer at a time of many.
pub async fn concurrent_increments_all_count(harness: &dyn Harness) {
    const TIMES: usize = 20;
    let stage = Stage::new(harness).await;
    let counter = stage.make("counter").await;
    let (one, two) = (stage.open().await, stage.open().await);
    tokio::join!(
        increment(&*one, &counter, TIMES),
        increment(&*two, &counter, TIMES),
        increment(&*stage.session, &counter, TIMES),
    );
    stage.session.sync().await.unwrap();
    let read = stage.session.get(&counter).await.unwrap().value;
    assert_eq!((&read.data[..], read.stat.version), (&b"60"[..], 3 * TIMES as u64));
}

/// A session need not wait for one write before the next.
pub async fn overlapping_writes_all_happen(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let prefix = stage.path("n-");
    let one = || stage.session.create(&prefix, Bytes::new(), CreateMode::PersistentSequential);
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    let mut created: Vec<String> = [a, b, c, d].map(|made| made.unwrap().0.name().to_owned()).into();
    created.sort();
    assert_eq!(stage.names(&stage.root).await, created);
}

/// What a session was answered it can read, without a sync.
pub async fn reads_see_earlier_writes_of_their_session(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let other = stage.open().await;
    let node = stage.make("node").await;
    for version in 1..=20 {
        let data = Bytes::from(version.to_string());
        stage.session.set(&node, data.clone(), None).await.unwrap();
        let read = stage.session.get(&node).await.unwrap();
        assert_eq!((read.value.data, read.value.stat.version), (data, version));

        // A refusal tells something too: what it was about can then be read.
        let path = stage.path(&format!("raced-{version}"));
        stage.session.create(&path, Bytes::new(), CreateMode::Persistent).await.unwrap();
        let exists = Refusal::NodeExists { path: path.clone() };
        assert_eq!(other.create(&path, Bytes::new(), CreateMode::Persistent).await, refused(exists));
        assert!(other.exists(&path).await.unwrap().value.is_some());
    }
}

/// After a sync a session reads what any other was answered before.
pub async fn sync_catches_up(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let (node, other) = (stage.make("node").await, stage.open().await);
    for version in 1..=20 {
        let written = stage.session.set(&node, Bytes::new(), None).await.unwrap();
        other.sync().await.unwrap();
        let read = other.get(&node).await.unwrap();
        assert_eq!((read.value.stat.version, read.value.stat), (version, written.clone()));
        assert!(read.revision >= written.modified);
    }
}
