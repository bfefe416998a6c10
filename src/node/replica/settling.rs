//! Telling when what was accepted is durable.

use actix::prelude::*;
use tokio::sync::oneshot;

use super::Replica;
use super::messages::Settle;
use crate::node::disk::Ticket;

/// Who waits until everything up to a ticket is durable or never will be.
#[derive(Default)]
pub(super) struct Settling {
    /// The last ticket of which that is known.
    settled: Ticket,
    /// In the order of the tickets.
    waiting: Vec<(Ticket, oneshot::Sender<()>)>,
}

impl Settling {
    /// Everything up to `ticket` is durable, or never will be.
    pub(super) fn flushed(&mut self, ticket: Ticket) {
        self.settled = ticket;
        let due = self.waiting.partition_point(|(waits_for, _)| *waits_for <= ticket);
        for (_, tell) in self.waiting.drain(..due) {
            // Who asked may have gone.
            let _ = tell.send(());
        }
    }

    fn wait_for(&mut self, ticket: Ticket) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.waiting.push((ticket, tell));
        self.flushed(self.settled);
        told
    }
}

impl Replica {
    /// When everything that was accepted until now is durable, or never will be.
    pub(super) fn settled(&mut self) -> impl Future<Output = ()> + use<> {
        let settled = self.settling.wait_for(self.ticket);
        // A replica that has stopped accepts nothing and has nothing in flight.
        async move { settled.await.unwrap_or(()) }
    }
}

impl Handler<Settle> for Replica {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Settle, _: &mut Context<Self>) -> ResponseFuture<()> {
        Box::pin(self.settled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_what_was_accepted_before_alone() {
        let mut settling = Settling::default();
        assert!(settling.wait_for(0).try_recv().is_ok(), "nothing was accepted yet");
        let (mut early, mut late) = (settling.wait_for(2), settling.wait_for(3));
        settling.flushed(1);
        assert!(early.try_recv().is_err());
        settling.flushed(2);
        assert!(early.try_recv().is_ok() && late.try_recv().is_err());
        settling.flushed(4);
        assert!(late.try_recv().is_ok() && settling.wait_for(4).try_recv().is_ok());
    }
}
