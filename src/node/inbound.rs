//! A link from another node, at its called end.
//!
//! Everything that one read brings is handed on as one batch for each actor; heartbeats are answered here, without one. How much
//! another node can have in flight here is bounded by what it admits itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use tokio::io::{AsyncRead, split};
use tokio::time::timeout;

use super::NodeHandle;
use super::coordinator::messages::{Answers, Call, Calls};
use super::env::now;
use super::outbox::{Outbox, OutboxLimits, Weigh};
use super::replica::Replica;
use super::replica::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::key::Key;
use crate::core::request::{Answer, Failure};
use crate::core::version::Clock;
use crate::wire::exchange::{ClocksPage, LeavesAnswer, ObjectsPage, SumsAnswer};
use crate::wire::frame::{self, FrameReader};
use crate::wire::message::{Object, ToCoordinator, ToReplica};
use crate::wire::net::Stream;

/// Serves a peer's link until it breaks.
pub async fn serve(node: NodeHandle, arbiter: usize, from: StoreId, stream: Stream) -> io::Result<()> {
    let (read, mut write) = split(stream);
    let limits = &node.config.node.limits;
    let outbox = Arc::new(Outbox::new(OutboxLimits::UNBOUNDED));
    let reader = FrameReader::new(read, limits.frames());
    // A live caller is heard once in each heartbeat; it has given this link up long before.
    let silence = node.config.node.timing.link_silence();
    let link = Inbound { node: node.clone(), arbiter, outbox: outbox.clone(), silence };
    let result = tokio::select! {
        biased;
        result = link.receive(reader) => result,
        result = outbox.write_to(&mut write, limits.frame_bytes_max, silence) => result,
    };
    outbox.close();
    let peer = node.ring.load().ring.node_of(from);
    log::debug!("link from node {peer} ended: {result:?}");
    result
}

struct Inbound {
    node: NodeHandle,
    arbiter: usize,
    outbox: Arc<Outbox<ToCoordinator>>,
    silence: Duration,
}

impl Inbound {
    async fn receive<R: AsyncRead + Unpin>(&self, mut reader: FrameReader<R>) -> io::Result<()> {
        let sink: Arc<dyn ReplicaSink> = Arc::new(LinkSink(self.outbox.clone()));
        let answers: Arc<dyn Answers> = Arc::new(LinkAnswers(self.outbox.clone()));
        let mut frames = vec![];
        loop {
            let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "silent");
            if !timeout(self.silence, reader.read(&mut frames)).await.map_err(silent)?? {
                return Ok(());
            }
            let (mut batches, mut forwards) = (BTreeMap::<usize, Vec<ReplicaCall>>::new(), vec![]);
            for frame in frames.drain(..) {
                for message in frame::decode::<Vec<ToReplica>>(&frame)? {
                    self.sort(message, &mut batches, &mut forwards, &answers);
                }
            }
            for (arbiter, calls) in batches {
                let replica: &Addr<Replica> = &self.node.replicas[arbiter];
                replica.do_send(ReplicaBatch { calls, sink: sink.clone() });
            }
            if !forwards.is_empty() {
                self.node.coordinators[self.arbiter].do_send(Calls(forwards));
            }
        }
    }

    fn sort(
        &self,
        message: ToReplica,
        batches: &mut BTreeMap<usize, Vec<ReplicaCall>>,
        forwards: &mut Vec<Call>,
        answers: &Arc<dyn Answers>,
    ) {
        let arrived = now();
        let by = |deadline_ms: u32| arrived + Duration::from_millis(deadline_ms as u64);
        let of = |key: &Key| self.node.ring.load().ring.partition_of(key);
        let (partition, call) = match message {
            ToReplica::Store { id, epoch, deadline_ms, key, object, hint } => {
                (of(&key), ReplicaCall::Store { id, epoch, key, object, hint, expires: by(deadline_ms) })
            }
            ToReplica::Fetch { id, epoch, deadline_ms, key, reading } => {
                (of(&key), ReplicaCall::Fetch { id, epoch, key, reading, expires: by(deadline_ms) })
            }
            ToReplica::Examine { id, key } => (of(&key), ReplicaCall::Examine { id, key }),
            ToReplica::Leaves { id, epoch, partition } => (partition, ReplicaCall::Leaves { id, epoch, partition }),
            ToReplica::Sums { id, epoch, partition, depth, nodes } => {
                (partition, ReplicaCall::Sums { id, epoch, partition, depth, nodes })
            }
            ToReplica::Clocks { id, epoch, partition, leaves, after, limit } => {
                let limit = limit as usize;
                (partition, ReplicaCall::Clocks { id, epoch, partition, leaves, after, limit })
            }
            ToReplica::Pull { id, epoch, partition, after, bytes_max } => {
                let bytes_max = bytes_max as usize;
                (partition, ReplicaCall::Pull { id, epoch, partition, after, bytes_max })
            }
            ToReplica::Objects { id, epoch, partition, keys } => {
                (partition, ReplicaCall::Objects { id, epoch, partition, keys })
            }
            ToReplica::Missed { id, partition } => (partition, ReplicaCall::Missed { id, partition }),
            ToReplica::Reap { id, epoch, partition, question } => {
                (partition, ReplicaCall::Reap { id, epoch, partition, question })
            }
            ToReplica::Scan { id, deadline_ms, scan, .. } => {
                (scan.partition, ReplicaCall::Scan { id, scan, expires: by(deadline_ms) })
            }
            ToReplica::Forward { id, epoch, deadline_ms, request } => {
                let deadline = by(deadline_ms);
                match self.node.admission.admit() {
                    Some(permit) => {
                        let caller = answers.clone();
                        let forwarded = Some(epoch);
                        forwards.push(Call { id, request, caller, permit, arrived, deadline, forwarded });
                    }
                    None => answers.answer(id, Epoch::default(), Err(self.node.overloaded())),
                }
                return;
            }
            ToReplica::Ping(ping) => {
                let _ = self.outbox.push(ToCoordinator::Pong(ping));
                return;
            }
        };
        batches.entry(arbiter_of(partition, self.node.replicas.len())).or_default().push(call);
    }
}

/// The arbiter to which a partition is pinned.
fn arbiter_of(partition: Partition, arbiters: usize) -> usize {
    partition.0 as usize % arbiters
}

/// Sends a Replica's answers back over the link. A link that is gone has told its caller already.
struct LinkSink(Arc<Outbox<ToCoordinator>>);

impl ReplicaSink for LinkSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        for reply in replies {
            let message = match reply {
                ReplicaReply::Stored { id, leased, result } => ToCoordinator::Stored { id, leased, result },
                ReplicaReply::Fetched { id, leased, result } => ToCoordinator::Fetched { id, leased, result },
                ReplicaReply::Examined { id, result } => ToCoordinator::Examined { id, result },
                ReplicaReply::Leaves { id, result } => ToCoordinator::Leaves { id, result },
                ReplicaReply::Sums { id, result } => ToCoordinator::Sums { id, result },
                ReplicaReply::Clocks { id, result } => ToCoordinator::Clocks { id, result },
                ReplicaReply::Page { id, result } => ToCoordinator::Page { id, result },
                ReplicaReply::Scanned { id, scanned } => ToCoordinator::Scanned { id, scanned },
                ReplicaReply::Reap { id, result } => ToCoordinator::Reap { id, result },
                ReplicaReply::Failed { id, error } => ToCoordinator::Failed { id, error },
                ReplicaReply::Minted { .. }
                | ReplicaReply::Refused { .. }
                | ReplicaReply::Hints { .. }
                | ReplicaReply::Dropped { .. } => continue,
            };
            let _ = self.0.push(message);
        }
    }
}

struct LinkAnswers(Arc<Outbox<ToCoordinator>>);

impl Answers for LinkAnswers {
    fn answer(&self, id: u64, _: Epoch, result: Result<Answer, Failure>) {
        let _ = self.0.push(ToCoordinator::Forwarded { id, result });
    }
}

impl Weigh for ToCoordinator {
    fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                ToCoordinator::Fetched { result: Ok(Some(object)), .. } => object.0.len(),
                ToCoordinator::Examined { result: Ok(examined), .. } => {
                    examined.object.as_ref().map_or(0, |object| object.0.len())
                }
                ToCoordinator::Leaves { result: Ok(LeavesAnswer::Whole { leaves, .. }), .. } => leaves.bytes(),
                ToCoordinator::Sums { result: Ok(SumsAnswer::Whole(sums)), .. } => size_of_val(&sums.0[..]),
                ToCoordinator::Clocks { result: Ok(page), .. } => clocks_weight(page),
                ToCoordinator::Page { result: Ok(page), .. } => objects_weight(page),
                ToCoordinator::Scanned { scanned, .. } => scanned.weight(),
                _ => 0,
            }
    }
}

fn clocks_weight(page: &ClocksPage) -> usize {
    let clock = size_of::<(Bytes, Option<Clock>)>();
    page.clocks.iter().map(|(stored, _)| clock + stored.len()).sum()
}

fn objects_weight(page: &ObjectsPage) -> usize {
    let object = |(key, object): &(Key, Object)| key.bucket.len() + key.name.len() + object.0.len();
    let named = page.unreadable.iter().chain(&page.left_over);
    page.objects.iter().map(object).sum::<usize>() + named.map(Bytes::len).sum::<usize>()
}
