//! The RingManager: owns the ring.
//!
//! It turns a membership into a ring and publishes it as an immutable snapshot ([`super::view::RingView`]) that everybody reads
//! without a message. Whoever must act on a change (the pools dial new members) is told that there is one. An
//! older epoch than the published one is refused: rings never go back, not even if whoever keeps them has lost some.

use std::sync::Arc;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::RingChanged;
use super::view::{RingView, SharedRing};
use crate::coordination::Membership;
use crate::core::id::Epoch;
use crate::core::ring::RingError;

/// A membership to make a ring of. When the answer comes, everybody who looks sees that ring, or one of the same epoch.
#[derive(Message)]
#[rtype(result = "Result<(), NotPublished>")]
pub struct NewMembership(pub Membership);

/// Why a membership was not made the ring.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotPublished {
    /// A newer one was published.
    #[error("ring {epoch} is older than {published}, which this node works with")]
    Older {
        /// Of the membership.
        epoch: Epoch,
        /// Of the ring.
        published: Epoch,
    },
    /// There is no ring over these members. The published one stays.
    #[error("ring {epoch} cannot be: {error}")]
    Impossible {
        /// Of the membership.
        epoch: Epoch,
        /// What is wrong with it.
        error: RingError,
    },
}

/// Tell this pool of changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow(pub Addr<ConnectionPool>);

/// Where rings are published.
enum Published {
    /// There was none yet; whoever waits is given the place with the first one in it.
    Not(Option<oneshot::Sender<SharedRing>>),
    /// Here.
    At(SharedRing),
}

/// The actor.
pub struct RingManager {
    published: Published,
    followers: Vec<Addr<ConnectionPool>>,
}

impl RingManager {
    /// Tells `first` where rings are published, when there is one.
    pub fn new(first: oneshot::Sender<SharedRing>) -> RingManager {
        RingManager { published: Published::Not(Some(first)), followers: vec![] }
    }

    /// The ring of a membership, ready to be published.
    pub fn view(membership: Membership) -> Result<RingView, RingError> {
        Ok(RingView::new(membership.ring()?, membership.buckets))
    }

    fn publish(&mut self, membership: Membership) -> Result<(), NotPublished> {
        let epoch = membership.epoch;
        let make = || RingManager::view(membership).map_err(|error| NotPublished::Impossible { epoch, error });
        match &mut self.published {
            Published::Not(first) => {
                let ring: SharedRing = Arc::new(ArcSwap::from_pointee(make()?));
                // Nobody waits for it any more if the node is stopping.
                first.take().map(|first| first.send(ring.clone()));
                self.published = Published::At(ring);
            }
            Published::At(ring) => {
                let published = ring.load().ring.epoch;
                if epoch < published {
                    return Err(NotPublished::Older { epoch, published });
                }
                if epoch == published {
                    return Ok(());
                }
                ring.store(make()?.into());
                self.followers.iter().for_each(|pool| pool.do_send(RingChanged));
            }
        }
        log::info!("the ring is at epoch {epoch}");
        Ok(())
    }
}

impl Actor for RingManager {
    type Context = Context<Self>;
}

impl Handler<NewMembership> for RingManager {
    type Result = Result<(), NotPublished>;

    fn handle(&mut self, new: NewMembership, _: &mut Context<Self>) -> Result<(), NotPublished> {
        self.publish(new.0)
    }
}

impl Handler<Follow> for RingManager {
    type Result = ();

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) {
        self.followers.push(follow.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::bucket::Buckets;
    use crate::core::id::{NodeId, StoreId};
    use crate::core::ring::Member;

    fn membership(generation: u32, counter: u64, weights: &[u32]) -> Membership {
        let member = |(i, weight): (usize, &u32)| Member {
            store: StoreId(i as u128),
            node: NodeId(i as u32 + 1),
            address: format!("node{i}:8000"),
            zone: "default".into(),
            weight: *weight,
        };
        let members = weights.iter().enumerate().map(member).collect();
        let epoch = Epoch { generation, counter };
        Membership { epoch, partitions: 8, replication: 2, members, slices: vec![], buckets: Buckets::default() }
    }

    #[test]
    fn rings_never_go_back() {
        let (first, mut published) = oneshot::channel();
        let mut manager = RingManager::new(first);
        assert!(matches!(manager.publish(membership(0, 4, &[0])), Err(NotPublished::Impossible { .. })));
        assert_eq!(manager.publish(membership(0, 5, &[1, 1])), Ok(()));
        let ring = published.try_recv().unwrap();
        let epoch = Epoch { generation: 0, counter: 5 };
        let older = NotPublished::Older { epoch: Epoch { counter: 4, ..epoch }, published: epoch };
        assert_eq!(manager.publish(membership(0, 4, &[1])), Err(older));
        assert_eq!(manager.publish(membership(0, 5, &[1, 1])), Ok(()));
        assert!(matches!(manager.publish(membership(0, 6, &[0])), Err(NotPublished::Impossible { .. })));
        assert_eq!(ring.load().ring.epoch, epoch);
        // A forced recovery may have lost some, and says so by its generation.
        assert_eq!(manager.publish(membership(1, 3, &[1, 1, 0])), Ok(()));
        assert_eq!(ring.load().ring.epoch, Epoch { generation: 1, counter: 3 });
        assert_eq!(ring.load().ring.members().len(), 3, "who owns nothing is a member");
    }
}
