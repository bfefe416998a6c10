//! Why a node cannot go on as it is, and what is done with its store then.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::coordination::registry::Verdict;
use crate::core::id::{NodeId, StoreId};
use crate::storage::StorageError;
use crate::storage::home::Home;
use crate::wire::handshake::Refusal;

/// A copy is told so for as long as its original runs, a store that was restarted only until its old links are noticed to be dead.
pub(super) const COPY_FOR_SURE: Duration = Duration::from_secs(15);
/// Refusals further apart than this are about different matters.
const COPY_AGAIN: Duration = Duration::from_secs(5);

/// What the node learnt of itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Ending {
    /// The store forgot what it promised. Its bytes are set aside, and the node begins again with a fresh one.
    #[error(
        "store {store} was rolled back: a later start of it ({seen}) is known to the cluster. It counts as new; its bytes are set \
         aside, not merged"
    )]
    RolledBack {
        /// The store.
        store: StoreId,
        /// The latest start that is known.
        seen: u64,
    },
    /// The coordination service was recovered by force. The node takes part in it anew; the store's data stays.
    #[error(
        "the coordination service was recovered by force and is at generation {generation}; this node joins it again"
    )]
    Recovered {
        /// The present generation.
        generation: u32,
    },
    /// It handed over all it had and went out of the ring, as an operator wished.
    #[error(
        "node {node} has left the cluster and may be switched off: its store {store} owns nothing and holds nothing. Started again \
         it would join as a new node does"
    )]
    Left {
        /// The store.
        store: StoreId,
        /// Its node.
        node: NodeId,
    },
    /// An operator has to decide.
    #[error("{0}")]
    GiveUp(String),
}

impl Ending {
    /// Makes the home of the node that has ended ready for another start, should the store be replaced by `fresh`, drawn at
    /// random. Answers whether there is to be one; if not, the home is left as it is, for an operator.
    ///
    /// # Errors
    /// Those of the home. Nobody else may hold its engine or the coordination service's database any more.
    pub fn make_ready(&self, home: &mut dyn Home, fresh: StoreId) -> Result<bool, StorageError> {
        match self {
            Ending::RolledBack { .. } => home.set_aside(fresh)?,
            Ending::Recovered { generation } => {
                home.set_generation(*generation)?;
                home.drop_coordination()?;
            }
            Ending::Left { .. } | Ending::GiveUp(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Tells operators: what they wished for is no trouble.
    pub fn tell(&self) {
        match self {
            Ending::Left { .. } => log::info!("{self}"),
            Ending::RolledBack { .. } | Ending::Recovered { .. } | Ending::GiveUp(_) => log::error!("{self}"),
        }
    }

    /// What a refusal in a greeting means. `None`: try again.
    pub(super) fn of_refusal(refusal: &Refusal) -> Option<Ending> {
        match refusal {
            Refusal::RolledBack { store, seen } => Some(Ending::RolledBack { store: *store, seen: *seen }),
            Refusal::Recovered { generation } => Some(Ending::Recovered { generation: *generation }),
            Refusal::Replaced { .. } | Refusal::OtherCluster { .. } => {
                Some(Ending::GiveUp(format!("{refusal}. Start this node with an empty data directory")))
            }
            _ => None,
        }
    }

    /// What it means to be taken for a copy for so long that it must be true.
    pub(super) fn copy(refusal: &Refusal) -> Ending {
        Ending::GiveUp(format!("{refusal}. Give this node a number and an empty data directory of its own"))
    }
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Ending {
        match verdict {
            Verdict::RolledBack { store, seen, .. } => Ending::RolledBack { store, seen },
            Verdict::Left { store, node } => Ending::Left { store, node },
            verdict => Ending::GiveUp(verdict.to_string()),
        }
    }
}

/// Waits until a refusal by another node is one that no further attempt will change.
pub async fn refused_for_good(mut refused: watch::Receiver<Option<Refusal>>) -> Ending {
    let mut copy: Option<(Instant, Instant)> = None;
    loop {
        if refused.changed().await.is_err() {
            return std::future::pending().await;
        }
        let refusal = refused.borrow_and_update().clone();
        let Some(refusal) = refusal else { continue };
        if let Some(ending) = Ending::of_refusal(&refusal) {
            return ending;
        }
        if let Refusal::Cloned { .. } = refusal {
            let now = Instant::now();
            let first = copy.filter(|(_, last)| now - *last < COPY_AGAIN).map_or(now, |(first, _)| first);
            if now - first >= COPY_FOR_SURE {
                return Ending::copy(&refusal);
            }
            copy = Some((first, now));
        }
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    fn cloned() -> Option<Refusal> {
        Some(Refusal::Cloned { store: StoreId(1), address: "a:1".into() })
    }

    async fn told(said: &watch::Sender<Option<Refusal>>, every: Duration, times: u32) -> Option<Ending> {
        let refused = said.subscribe();
        let waiting = tokio::spawn(refused_for_good(refused));
        for _ in 0..times {
            tokio::task::yield_now().await;
            said.send_replace(cloned());
            tokio::task::yield_now().await;
            advance(every).await;
        }
        timeout(Duration::from_millis(1), waiting).await.ok().and_then(Result::ok)
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_believed_when_it_is_told_again_and_again() {
        let said = watch::channel(None).0;
        assert_eq!(told(&said, Duration::from_secs(1), 10).await, None);
        assert!(matches!(told(&said, Duration::from_secs(1), 20).await, Some(Ending::GiveUp(_))));
        assert_eq!(told(&said, Duration::from_secs(60), 20).await, None, "each is about another restart");
    }

    #[test]
    fn who_has_left_may_be_switched_off() {
        let ending = Ending::from(Verdict::Left { store: StoreId(1), node: NodeId(4) });
        assert_eq!(ending, Ending::Left { store: StoreId(1), node: NodeId(4) });
        assert!(ending.to_string().contains("node 4 has left the cluster and may be switched off"), "{ending}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rolled_back_store_is_told_once() {
        let said = watch::channel(None).0;
        let waiting = tokio::spawn(refused_for_good(said.subscribe()));
        said.send_replace(Some(Refusal::RolledBack { store: StoreId(1), seen: 7 }));
        assert_eq!(waiting.await.unwrap(), Ending::RolledBack { store: StoreId(1), seen: 7 });
    }
}
