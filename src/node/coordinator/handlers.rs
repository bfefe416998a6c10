//! Which message leads where.

use actix::prelude::*;

use super::Coordinator;
use super::messages::{Calls, Drain, Flush, LocalReplies, ReportLatencies};
use crate::node::connection_pool::messages::PeerEvent;
use crate::node::ring_manager::RingChanged;

impl Actor for Coordinator {
    type Context = Context<Self>;
}

impl Handler<Calls> for Coordinator {
    type Result = ();

    fn handle(&mut self, calls: Calls, ctx: &mut Context<Self>) {
        self.turn(ctx, |this, turn| calls.0.into_iter().for_each(|call| this.begin(turn, call)));
    }
}

impl Handler<LocalReplies> for Coordinator {
    type Result = ();

    fn handle(&mut self, local: LocalReplies, ctx: &mut Context<Self>) {
        self.turn(ctx, |this, turn| local.0.into_iter().for_each(|reply| this.on_local(turn, reply)));
    }
}

impl Handler<PeerEvent> for Coordinator {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        self.turn(ctx, |this, turn| match event {
            PeerEvent::Replies { from, replies } => {
                replies.into_iter().for_each(|reply| this.on_peer(turn, from, reply));
            }
            PeerEvent::Refused { from, refused } => {
                refused.into_iter().for_each(|(id, error)| this.on_refused(turn, id, from, error));
            }
            PeerEvent::Lost { from } => this.on_lost(turn, from),
        });
    }
}

impl Handler<RingChanged> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: RingChanged, ctx: &mut Context<Self>) {
        self.turn(ctx, |this, turn| this.follow_ring(turn));
    }
}

impl Handler<Flush> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Context<Self>) {
        std::mem::take(&mut self.gathered).flush(&self.replicas, &self.sink, &self.pool);
    }
}

impl Handler<ReportLatencies> for Coordinator {
    type Result = MessageResult<ReportLatencies>;

    fn handle(&mut self, _: ReportLatencies, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.latencies.report())
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        let (done, drained) = tokio::sync::oneshot::channel();
        self.drained = Some(done);
        self.turn(ctx, |_, _| {});
        // A second call to drain replaces the first; the first then counts as done.
        Box::pin(async move { drained.await.unwrap_or(()) })
    }
}
