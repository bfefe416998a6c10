//! What the messages to the Coordinator lead to: gathered, then sent as one batch per destination.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;

use crate::core::id::StoreId;
use crate::node::connection_pool::ConnectionPool;
use crate::node::connection_pool::messages::PeerSend;
use crate::node::replica::Replica;
use crate::node::replica::messages::{ReplicaBatch, ReplicaCall, ReplicaSink};
use crate::wire::message::ToReplica;

/// Messages to be sent.
#[derive(Default)]
pub struct Turn {
    local: BTreeMap<usize, Vec<ReplicaCall>>,
    remote: BTreeMap<StoreId, Vec<ToReplica>>,
}

impl Turn {
    /// For the Replica of an arbiter of this node.
    pub fn local(&mut self, arbiter: usize, call: ReplicaCall) {
        self.local.entry(arbiter).or_default().push(call);
    }

    /// For another node.
    pub fn remote(&mut self, to: StoreId, message: ToReplica) {
        self.remote.entry(to).or_default().push(message);
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty()
    }

    /// Sends everything.
    pub fn flush(self, replicas: &[Addr<Replica>], sink: &Arc<dyn ReplicaSink>, pool: &Addr<ConnectionPool>) {
        for (to, messages) in self.remote {
            pool.do_send(PeerSend { to, messages });
        }
        for (arbiter, calls) in self.local {
            replicas[arbiter].do_send(ReplicaBatch { calls, sink: sink.clone() });
        }
    }
}
