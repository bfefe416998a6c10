//! The end of a Replica.

use actix::prelude::*;

use super::Replica;
use super::messages::Halt;

/// Nothing is begun any more; when all that was accepted is durable, or never will be, the trees are written down, and that is the last
/// thing it writes. Whoever asked waits until it is on its way to the disk.
impl Handler<Halt> for Replica {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Halt, _: &mut Context<Self>) -> Self::Result {
        self.is_halting = true;
        let settled = self.settled();
        Box::pin(actix::fut::wrap_future(settled).map(|(), this: &mut Self, ctx: &mut Context<Self>| {
            for batch in this.parts.kept_trees.keep(&this.trees) {
                this.ticket += 1;
                this.parts.disk.submit(ctx.address().recipient(), this.ticket, batch);
            }
            ctx.stop();
        }))
    }
}
