//! What every provider of the service must do.
//!
//! A provider's tests implement [`Harness`] and instantiate the suite with [`coordination_suite!`](crate::coordination_suite).
//! Each case works below a node of its own, so that a service may outlive many runs. Cases wait for what must come, never for
//! time to pass; what does not come within [`PATIENCE`] counts as missing. They ask for nothing that ZooKeeper does not promise.
//!
//! What a provider does when its parts fail is not seen here.

mod election;
mod nodes;
mod sessions;
mod watches;
mod writes;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::api::{Answer, Error, Service, Session, Watch};
use super::tree::{CreateMode, Path, Refusal, Stat};
use super::watch::Watched;

pub use election::*;
pub use nodes::*;
pub use sessions::*;
pub use watches::*;
pub use writes::*;

/// How long a case waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The timeout of sessions that live through a case.
const LONG: Duration = Duration::from_secs(120);
/// The timeout of sessions that a case kills.
const SHORT: Duration = Duration::from_secs(1);

/// Ready when a session has ended.
pub type Killed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A running service of one provider.
pub trait Harness: Send + Sync {
    /// Where to open sessions. Other cases may do so as well.
    fn service(&self) -> &dyn Service;

    /// The holder of a session dies without closing it. Ready when the service has ended the session; no other one whose
    /// timeout is longer ends by that.
    fn kill(&self, session: Box<dyn Session>) -> Killed<'_>;
}

/// Makes a test of each case of the suite, each with a harness of its own made by the expression.
///
/// `each run` makes of each case a test without a runtime, which calls `run` with the case as a function from a harness to a
/// future: for a provider that needs surroundings of its own.
#[macro_export]
macro_rules! coordination_suite {
    (@tests (each $run:path) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $run(|harness| Box::pin($crate::coordination::conformance::$case(harness)));
            }
        )*
    };
    (@tests ($harness:expr) $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::coordination::conformance::$case(&$harness).await;
            }
        )*
    };
    (@all $made:tt) => {
        $crate::coordination_suite!(@tests $made
            created_nodes_are_read nodes_are_created_once_and_below_others versions_guard_nodes nodes_are_deleted
            children_are_listed sequential_nodes_are_numbered revisions_rise large_data_is_stored_and_larger_refused
            multi_is_all_or_nothing multi_sees_its_own_changes multi_checks concurrent_increments_all_count
            overlapping_writes_all_happen reads_see_earlier_writes_of_their_session sync_catches_up
            ephemerals_vanish_when_their_session_is_closed ephemerals_vanish_when_their_holder_dies
            ended_sessions_are_refused_everything sessions_are_told_apart
            watches_tell_of_a_node watches_tell_of_children watches_tell_of_a_subtree watches_tell_of_vanished_ephemerals
            watches_leave_no_change_unnoticed watches_end_with_their_session
            the_leader_is_followed_by_the_next_candidate);
    };
    (each $run:path) => {
        $crate::coordination_suite!(@all (each $run));
    };
    ($harness:expr; $($case:ident)*) => {
        $crate::coordination_suite!(@tests ($harness) $($case)*);
    };
    ($harness:expr) => {
        $crate::coordination_suite!(@all ($harness));
    };
}

/// One case on a service: a session, and a node to work below.
struct Stage<'a> {
    harness: &'a dyn Harness,
    session: Box<dyn Session>,
    root: Path,
}

impl<'a> Stage<'a> {
    async fn new(harness: &'a dyn Harness) -> Stage<'a> {
        let session = harness.service().open(LONG).await.expect("a session");
        let prefix = path("/conformance-");
        let created = session.create(&prefix, Bytes::new(), CreateMode::PersistentSequential).await;
        let (root, _) = created.expect("a node to work below");
        Stage { harness, session, root }
    }

    /// A path below the case's node.
    fn path(&self, below: &str) -> Path {
        path(&format!("{}/{below}", self.root))
    }

    /// Another session that lives through the case.
    async fn open(&self) -> Box<dyn Session> {
        self.harness.service().open(LONG).await.expect("a session")
    }

    /// Another session, to be killed.
    async fn open_doomed(&self) -> Box<dyn Session> {
        self.harness.service().open(SHORT).await.expect("a session")
    }

    /// Makes an empty persistent node.
    async fn make(&self, below: &str) -> Path {
        let path = self.path(below);
        self.session.create(&path, Bytes::new(), CreateMode::Persistent).await.expect("a new node");
        path
    }

    async fn stat(&self, path: &Path) -> Option<Stat> {
        self.session.exists(path).await.expect("an answer").value
    }

    async fn names(&self, path: &Path) -> Vec<String> {
        self.session.children(path).await.expect("a node").value.names
    }

    async fn watch(&self, path: &Path, watched: Watched) -> Box<dyn Watch> {
        self.session.watch(path, watched).await.expect("a watch")
    }
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn refused<T>(refusal: Refusal) -> Result<T, Error> {
    Err(Error::Refused(refusal))
}

/// Waits until the watch tells something, which it must.
async fn told(watch: &mut dyn Watch) -> Result<(), Error> {
    patiently(watch.changed()).await
}

async fn patiently<T>(answer: Answer<'_, T>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
}
