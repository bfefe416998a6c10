//! Which message leads where.

use actix::prelude::*;

use super::messages::{List, ListThrough, ScannedHere};
use super::{Lister, Outcome};
use crate::core::request::Failure;
use crate::node::connection_pool::messages::{Origin, PeerEvent};
use crate::node::replica::messages::ReplicaReply;
use crate::wire::message::ToCoordinator;

impl Actor for Lister {
    type Context = Context<Self>;
}

impl Handler<ListThrough> for Lister {
    type Result = ();

    fn handle(&mut self, through: ListThrough, _: &mut Context<Self>) {
        self.pool = Some(through.0);
    }
}

impl Handler<List> for Lister {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, list: List, ctx: &mut Context<Self>) -> Self::Result {
        let List { request, deadline, permit } = list;
        let answered = self.begin(request, deadline, ctx);
        Box::pin(async move {
            let outcome = answered?.await.unwrap_or(Err(Failure::ShuttingDown));
            drop(permit);
            outcome
        })
    }
}

impl Handler<ScannedHere> for Lister {
    type Result = ();

    fn handle(&mut self, here: ScannedHere, ctx: &mut Context<Self>) {
        let own = self.parts.store;
        for reply in here.0 {
            match reply {
                ReplicaReply::Scanned { id, scanned } => self.on_scanned(id, own, Ok(scanned), ctx),
                ReplicaReply::Failed { id, error } => self.on_scanned(id, own, Err(error), ctx),
                _ => {}
            }
        }
    }
}

impl Handler<PeerEvent> for Lister {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        match event {
            PeerEvent::Replies { from, replies } => {
                for reply in replies {
                    let (id, result) = match reply {
                        ToCoordinator::Scanned { id, scanned } => (id, Ok(scanned)),
                        ToCoordinator::Failed { id, error } => (id, Err(error)),
                        _ => continue,
                    };
                    self.on_scanned(Origin::sequence(id), from, result, ctx);
                }
            }
            PeerEvent::Refused { from, refused } => {
                for (id, error) in refused {
                    self.on_scanned(Origin::sequence(id), from, Err(error), ctx);
                }
            }
            PeerEvent::Lost { from } => self.on_lost(from, ctx),
        }
    }
}
