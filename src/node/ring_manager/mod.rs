//! The RingManager: owns the ring.
//!
//! It turns a membership into a ring and publishes it as an immutable snapshot ([`super::view::RingView`]) that everybody reads
//! without a message. Whoever must act on a change (the pools dial new members) is told that there is one. An
//! older epoch than the published one is refused.

use actix::prelude::*;

use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::RingChanged;
use super::view::{RingView, SharedRing};
use crate::coordination::Membership;
use crate::core::ring::{Ring, RingError};

/// A membership to make a ring of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct NewMembership(pub Membership);

/// Tell this pool of changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow(pub Addr<ConnectionPool>);

/// The actor.
pub struct RingManager {
    ring: SharedRing,
    followers: Vec<Addr<ConnectionPool>>,
}

impl RingManager {
    /// Publishes in `ring`.
    pub fn new(ring: SharedRing) -> RingManager {
        RingManager { ring, followers: vec![] }
    }

    /// The ring of a membership, ready to be published.
    pub fn view(membership: Membership) -> Result<RingView, RingError> {
        let Membership { epoch, partitions, replication, members, buckets } = membership;
        Ok(RingView::new(Ring::new(epoch, partitions, replication, members)?, buckets))
    }

    fn publish(&mut self, membership: Membership) {
        let (epoch, present) = (membership.epoch, self.ring.load().ring.epoch);
        if epoch <= present {
            log::debug!("ring {epoch} is not newer than {present}");
            return;
        }
        match RingManager::view(membership) {
            Ok(view) => {
                self.ring.store(view.into());
                self.followers.iter().for_each(|pool| pool.do_send(RingChanged));
                log::info!("the ring is at epoch {epoch}");
            }
            Err(error) => log::error!("ring {epoch} is refused, {present} stays: {error}"),
        }
    }
}

impl Actor for RingManager {
    type Context = Context<Self>;
}

impl Handler<NewMembership> for RingManager {
    type Result = ();

    fn handle(&mut self, new: NewMembership, _: &mut Context<Self>) {
        self.publish(new.0);
    }
}

impl Handler<Follow> for RingManager {
    type Result = ();

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) {
        self.followers.push(follow.0);
    }
}
