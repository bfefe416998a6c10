//! The RingManager: owns the ring.
//!
//! It turns a membership into a ring and publishes it as an immutable snapshot ([`super::view::RingView`]) that everybody reads
//! without a message. Whoever must act on a change is told that there is one: the pools dial new members, the coordinators carry
//! their operations over, the replicas serve what waited for it. An
//! older epoch than the published one is refused: rings never go back, not even if whoever keeps them has lost some.
//!
//! Before the node may acknowledge a ring it must work by it alone ([`Adopt`]): nothing that was begun by an older one may still be on
//! its way to a disk, here or elsewhere.

use std::sync::Arc;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::connection_pool::ConnectionPool;
use super::coordinator::Coordinator;
use super::replica::Replica;
use super::replica::messages::Settle;
use super::view::{RingView, SharedRing};
use crate::coordination::Membership;
use crate::core::id::Epoch;
use crate::core::ring::{Ring, RingError};

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

/// The ring has changed: look at it again. Answered when that is done.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct RingChanged;

/// Tell this one of changes, and at once of the ring that there is.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow(pub Follower);

/// Who acts on a change of the ring.
pub enum Follower {
    /// Links to its members.
    Pool(Addr<ConnectionPool>),
    /// Carries operations over to it.
    Coordinator(Addr<Coordinator>),
    /// Serves what waited for it, and knows what was accepted by an older one.
    Replica(Addr<Replica>),
}

impl Follower {
    fn tell(&self) {
        match self {
            Follower::Pool(pool) => pool.do_send(RingChanged),
            Follower::Coordinator(coordinator) => coordinator.do_send(RingChanged),
            Follower::Replica(replica) => replica.do_send(RingChanged),
        }
    }
}

/// Answered when this node works by the published ring alone: no operation here goes by an older one and could still succeed by it, and
/// what its replicas accepted by an older one is durable or will never be. Only then its epoch may be acknowledged.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Adopt;

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
    followers: Vec<Follower>,
    /// Told of each ring, before anybody can go by it.
    tell: Box<dyn Fn(&Ring)>,
}

impl RingManager {
    /// Tells `first` where rings are published, when there is one, and calls `tell` with each.
    pub fn new(first: oneshot::Sender<SharedRing>, tell: impl Fn(&Ring) + 'static) -> RingManager {
        RingManager { published: Published::Not(Some(first)), followers: vec![], tell: Box::new(tell) }
    }

    /// The ring of a membership, ready to be published.
    pub fn view(membership: Membership) -> Result<RingView, RingError> {
        Ok(RingView::new(membership.ring()?, membership.buckets))
    }

    fn publish(&mut self, membership: Membership) -> Result<(), NotPublished> {
        let epoch = membership.epoch;
        let tell = &self.tell;
        let make = || match RingManager::view(membership) {
            Ok(view) => {
                tell(&view.ring);
                Ok(view)
            }
            Err(error) => Err(NotPublished::Impossible { epoch, error }),
        };
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
                self.followers.iter().for_each(Follower::tell);
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
        // It may have looked before the last ring was published, and not have been told of that.
        follow.0.tell();
        self.followers.push(follow.0);
    }
}

impl Handler<Adopt> for RingManager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Adopt, _: &mut Context<Self>) -> ResponseFuture<()> {
        let (mut coordinators, mut replicas) = (vec![], vec![]);
        for follower in &self.followers {
            match follower {
                Follower::Pool(_) => {}
                Follower::Coordinator(coordinator) => coordinators.push(coordinator.clone()),
                Follower::Replica(replica) => replicas.push(replica.clone()),
            }
        }
        Box::pin(async move {
            // Whoever does not answer has stopped, and everything that it had begun with it. All are asked before the first is
            // waited for.
            let rebased: Vec<_> = coordinators.iter().map(|coordinator| coordinator.send(RingChanged)).collect();
            for rebased in rebased {
                let _ = rebased.await;
            }
            // Coordinators first: what they have asked by the older ring until now is in the replicas' mailboxes, before this.
            let settled: Vec<_> = replicas.iter().map(|replica| replica.send(Settle)).collect();
            for settled in settled {
                let _ = settled.await;
            }
        })
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
        let mut manager = RingManager::new(first, |_| {});
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
