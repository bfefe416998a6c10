//! Leader election as ZooKeeper's users do it.
//!
//! Each candidate makes a sequential ephemeral node. The one with the lowest number leads; each other one watches the node
//! just before its own, so that the end of a leader wakes one candidate and not all.

use bytes::Bytes;

use super::{Harness, Stage, told};
use crate::coordination::api::Session;
use crate::coordination::tree::{CreateMode, Path};
use crate::coordination::watch::Watched;

struct Candidate {
    session: Box<dyn Session>,
    election: Path,
    name: String,
}

impl Candidate {
    async fn stand(session: Box<dyn Session>, election: &Path) -> Candidate {
        let prefix = election.child("candidate-").expect("a short name");
        let created = session.create(&prefix, Bytes::new(), CreateMode::EphemeralSequential).await;
        let name = created.expect("a candidacy").0.name().to_owned();
        Candidate { session, election: election.clone(), name }
    }

    /// The candidate just before this one; `None` if this one leads.
    async fn before(&self) -> Option<String> {
        self.session.sync().await.expect("the session lives");
        let names = self.session.children(&self.election).await.expect("the election").value.names;
        assert!(names.contains(&self.name), "{} is no candidate any more", self.name);
        names.into_iter().take_while(|name| *name < self.name).last()
    }

    /// Ready when this candidate leads.
    async fn lead(&self) {
        while let Some(before) = self.before().await {
            let path = self.election.child(&before).expect("a name that was listed");
            let mut watch = self.session.watch(&path, Watched::Node).await.expect("a watch");
            while self.session.exists(&path).await.expect("an answer").value.is_some() {
                told(&mut *watch).await.expect("the session lives");
            }
        }
    }
}

/// There is one leader at a time: when it dies or resigns the next candidate follows, and one that resigned while it waited
/// is passed over.
pub async fn the_leader_is_followed_by_the_next_candidate(harness: &dyn Harness) {
    let stage = Stage::new(harness).await;
    let election = stage.make("election").await;
    let first = Candidate::stand(stage.open_doomed().await, &election).await;
    let second = Candidate::stand(stage.open().await, &election).await;
    let third = Candidate::stand(stage.open().await, &election).await;
    let fourth = Candidate::stand(stage.open().await, &election).await;

    first.lead().await;
    assert_eq!(second.before().await.as_ref(), Some(&first.name));
    assert_eq!(third.before().await.as_ref(), Some(&second.name));
    assert_eq!(fourth.before().await.as_ref(), Some(&third.name));

    tokio::join!(second.lead(), harness.kill(first.session));
    assert_eq!(third.before().await.as_ref(), Some(&second.name));
    third.session.close().await.expect("the session lives");
    assert_eq!(fourth.before().await.as_ref(), Some(&second.name), "who resigned while waiting is passed over");

    tokio::join!(fourth.lead(), async { second.session.close().await.expect("the session lives") });
    assert_eq!(stage.names(&election).await, [fourth.name.as_str()]);
}
