//! The MembershipWatcher: listens to the coordination service and feeds the RingManager.

use actix::prelude::*;

use super::ring_manager::{NewMembership, RingManager};
use crate::coordination::Coordination;

/// The actor.
pub struct MembershipWatcher {
    source: Option<Box<dyn Coordination>>,
    ring_manager: Addr<RingManager>,
}

impl MembershipWatcher {
    /// Watches `source`.
    pub fn new(source: Box<dyn Coordination>, ring_manager: Addr<RingManager>) -> MembershipWatcher {
        MembershipWatcher { source: Some(source), ring_manager }
    }
}

impl Actor for MembershipWatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(mut source) = self.source.take() else { return };
        let ring_manager = self.ring_manager.clone();
        let watch = async move {
            loop {
                let membership = source.next().await;
                if ring_manager.try_send(NewMembership(membership)).is_err() {
                    return;
                }
            }
        };
        ctx.spawn(actix::fut::wrap_future(watch));
    }
}
