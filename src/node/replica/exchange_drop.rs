//! Dropping a copy that this store need not hold any more.

use bytes::Bytes;

use super::messages::ReplicaReply;
use super::storing::decode;
use super::{Replica, Turn};
use crate::core::key::Key;
use crate::core::version::Clock;
use crate::wire::message::ReplicaError;

impl Replica {
    /// Drops a key that the owners are known to hold.
    pub(super) fn drop_key(&mut self, turn: &mut Turn, id: u64, key: Key, clock: Clock) -> Result<(), ReplicaError> {
        self.check_gate()?;
        let place = self.place(&key);
        let (newest, in_flight) = self.newest(&place.stored)?;
        let is_it = in_flight.is_none() && decode(&newest)?.object.clock() == clock;
        if newest.is_none() && in_flight.is_none() {
            turn.now.push(ReplicaReply::Dropped { id, dropped: true });
        } else if !is_it || self.is_waited_for(&place.stored)? || self.owns(&place, &key) {
            turn.now.push(ReplicaReply::Dropped { id, dropped: false });
        } else {
            self.write(turn, place, None, newest, None)?;
            turn.later.push((turn.ticket, ReplicaReply::Dropped { id, dropped: true }));
        }
        Ok(())
    }

    /// Whether a hint is kept for this key. Its target need not be a member any more.
    fn is_waited_for(&self, stored: &Bytes) -> Result<bool, ReplicaError> {
        Ok(!self.hinted_targets(stored)?.is_empty())
    }
}
