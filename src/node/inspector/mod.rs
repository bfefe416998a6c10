//! The Inspector: answers what operators ask, from all actors of the node and, for `locate`, from other nodes.

mod cluster;
mod describe;
mod tombstones;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::oneshot;

use self::cluster::Facts;
use super::admission::Admission;
use super::clerk::Clerk;
use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::{Origin, PeerEvent, PeerSend, ReportPeers};
use super::coordinator::Coordinator;
use super::coordinator::messages::ReportLatencies;
use super::disk::Gate;
use super::env::{Env, Moment};
use super::handoff::{Handoff, ReportHints};
use super::lease::Lease;
use super::reap::Reaper;
use super::repair::Repairer;
use super::repair::messages::{ReportAntiEntropy, StartRepair};
use super::replica::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::replica::{HintGauge, Replica};
use super::stats::Stats;
use super::transfer::Mover;
use super::transfer::messages::ReportTransfers;
use super::view::SharedRing;
use crate::config::Config;
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::ring::Member;
use crate::storage::{self, Engine};
use crate::wire::message::{Examined, ReplicaError, ToCoordinator, ToReplica};
use crate::wire::report::{
    AntiEntropyReport, HintsReport, Inspect, Inspection, LocateReport, PeerReport, RingReport, Role, StatsReport,
    StatusReport, TransfersReport,
};

/// Show this.
#[derive(Message)]
#[rtype(result = "Inspection")]
pub struct Show(pub Inspect);

/// Show through these.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ShowThrough {
    /// One for each arbiter.
    pub pools: Vec<Addr<ConnectionPool>>,
    /// One for each arbiter.
    pub coordinators: Vec<Addr<Coordinator>>,
    /// What moves partitions.
    pub mover: Addr<Mover>,
    /// What delivers hints.
    pub handoff: Addr<Handoff>,
    /// What forgets deletes.
    pub reaper: Addr<Reaper>,
    /// What keeps owners equal.
    pub repairer: Addr<Repairer>,
}

/// What an Inspector looks at.
pub struct InspectorParts {
    /// This store.
    pub store: StoreId,
    /// How often it was started.
    pub start: u64,
    /// The configuration.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Where things are kept.
    pub engine: Arc<dyn Engine>,
    /// Whether writes are taken.
    pub gate: Arc<Gate>,
    /// What waits for others.
    pub hints: Arc<HintGauge>,
    /// What was counted.
    pub stats: Arc<Stats>,
    /// Calls in flight.
    pub admission: Arc<Admission>,
    /// Who holds it.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// What it knows of the coordination service.
    pub clerk: Arc<Clerk>,
    /// Its right to serve strict requests.
    pub lease: Lease,
    /// Its surroundings.
    pub env: Env,
    /// When the node started.
    pub started: Moment,
}

type Examination = oneshot::Sender<Result<Examined, ReplicaError>>;

/// The actor.
pub struct Inspector {
    parts: Arc<InspectorParts>,
    pools: Vec<Addr<ConnectionPool>>,
    coordinators: Vec<Addr<Coordinator>>,
    mover: Option<Addr<Mover>>,
    handoff: Option<Addr<Handoff>>,
    reaper: Option<Addr<Reaper>>,
    repairer: Option<Addr<Repairer>>,
    asked: BTreeMap<u64, (StoreId, Examination)>,
    last: u64,
}

#[derive(Message)]
#[rtype(result = "()")]
struct ExaminedHere(Vec<ReplicaReply>);

struct ExamineSink(Addr<Inspector>);

impl ReplicaSink for ExamineSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(ExaminedHere(replies));
    }
}

impl Inspector {
    /// Shows nothing of pools and coordinators until it knows them.
    pub fn new(parts: InspectorParts) -> Inspector {
        let (asked, parts) = (BTreeMap::new(), Arc::new(parts));
        let (pools, coordinators) = (vec![], vec![]);
        let (mover, handoff, reaper, repairer) = (None, None, None, None);
        Inspector { parts, pools, coordinators, mover, handoff, reaper, repairer, asked, last: 0 }
    }

    /// Asks a member what it holds of a key.
    fn examine(
        &mut self,
        member: &Member,
        key: &Key,
        ctx: &mut Context<Self>,
    ) -> oneshot::Receiver<Result<Examined, ReplicaError>> {
        self.last += 1;
        let (answer, answered) = oneshot::channel();
        self.asked.insert(self.last, (member.store, answer));
        let key = key.clone();
        if member.store == self.parts.store {
            let partition = self.parts.ring.load().ring.partition_of(&key);
            let replica = &self.parts.replicas[partition.0 as usize % self.parts.replicas.len()];
            let calls = vec![ReplicaCall::Examine { id: self.last, key }];
            replica.do_send(ReplicaBatch { calls, sink: Arc::new(ExamineSink(ctx.address())) });
        } else if let Some(pool) = self.pools.first() {
            let id = Origin::Inspector.number(self.last);
            pool.do_send(PeerSend { to: member.store, messages: vec![ToReplica::Examine { id, key }] });
        }
        answered
    }

    fn answered(&mut self, id: u64, result: Result<Examined, ReplicaError>) {
        if let Some((_, answer)) = self.asked.remove(&id) {
            // Who asked may have gone.
            drop(answer.send(result));
        }
    }

    fn locate(&mut self, key: Key, ctx: &mut Context<Self>) -> ResponseFuture<Inspection> {
        let view = self.parts.ring.load_full();
        let partition = view.ring.partition_of(&key);
        let slice = view.ring.slice(partition);
        let roles = describe::roles(&slice, view.route(partition), view.ring.replication);
        let member = |(store, role): (StoreId, Role)| Some((view.ring.member(store)?.clone(), role));
        let members: Vec<(Member, Role)> = roles.into_iter().filter_map(member).collect();
        let asked: Vec<_> = members.iter().map(|(member, _)| self.examine(member, &key, ctx)).collect();
        let patience = Duration::from_millis(self.parts.config.node.timing.peer_timeout_ms);
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + patience;
            let mut replicas = vec![];
            for ((member, role), answer) in members.iter().zip(asked) {
                let answer = match tokio::time::timeout_at(deadline, answer).await {
                    Ok(Ok(result)) => result.map_err(|error| error.to_string()),
                    Ok(Err(_)) => Err("the node is stopping".into()),
                    Err(_) => Err(format!("no answer in {} ms", patience.as_millis())),
                };
                replicas.push(describe::replica(&view, member, *role, partition, answer));
            }
            let token = format!("{:016x}", key.token().0);
            let (epoch, phase) = (view.ring.epoch, describe::phase(&slice));
            Inspection::Located(LocateReport { token, partition, epoch, since: slice.since, phase, replicas })
        })
    }

    /// The other nodes, as all links of this one see them.
    fn peers(&self) -> impl Future<Output = Vec<PeerReport>> + use<> {
        let (parts, pools, coordinators) = (self.parts.clone(), self.pools.clone(), self.coordinators.clone());
        async move {
            let mut peers: Vec<PeerReport> = vec![];
            for (pool, coordinator) in pools.iter().zip(&coordinators) {
                let links = pool.send(ReportPeers).await.map(|report| report.0).unwrap_or_default();
                let latencies = coordinator.send(ReportLatencies).await.unwrap_or_default();
                describe::add_links(&mut peers, links);
                for (store, p50, p95) in latencies {
                    let node = parts.ring.load().ring.node_of(store);
                    peers.iter_mut().filter(|p| p.node == node).for_each(|p| p.latency_us = Some((p50, p95)));
                }
            }
            peers
        }
    }

    fn status(&self) -> ResponseFuture<Inspection> {
        let (parts, peers) = (self.parts.clone(), self.peers());
        Box::pin(async move { Inspection::Status(parts.status(peers.await)) })
    }

    fn service(&self) -> Inspection {
        Inspection::Service { node: self.parts.config.node.id, service: self.parts.clerk.service().map(Box::new) }
    }

    fn transfers(&self) -> ResponseFuture<Inspection> {
        let mover = self.mover.clone();
        Box::pin(async move {
            let report = match mover {
                // A node that stops moves nothing any more.
                Some(mover) => mover.send(ReportTransfers).await.unwrap_or_default(),
                None => TransfersReport::default(),
            };
            Inspection::Transfers(Box::new(report))
        })
    }

    fn hints(&self) -> ResponseFuture<Inspection> {
        let handoff = self.handoff.clone();
        Box::pin(async move {
            let report = match handoff {
                Some(handoff) => handoff.send(ReportHints).await.unwrap_or_default(),
                None => HintsReport::default(),
            };
            Inspection::Hints(Box::new(report))
        })
    }

    fn anti_entropy(&self) -> ResponseFuture<Inspection> {
        let repairer = self.repairer.clone();
        Box::pin(async move {
            let report = match repairer {
                // A node that stops compares nothing any more.
                Some(repairer) => repairer.send(ReportAntiEntropy).await.unwrap_or_default(),
                None => AntiEntropyReport::default(),
            };
            Inspection::AntiEntropy(Box::new(report))
        })
    }

    fn repair(&self, start: StartRepair) -> ResponseFuture<Inspection> {
        let repairer = self.repairer.clone();
        Box::pin(async move {
            let pairs = match repairer {
                Some(repairer) => repairer.send(start).await.unwrap_or_default(),
                None => 0,
            };
            Inspection::Repairing { pairs }
        })
    }

    fn cluster(&self) -> ResponseFuture<Inspection> {
        let (parts, peers) = (self.parts.clone(), self.peers());
        Box::pin(async move {
            let (peers, knowledge) = (peers.await, parts.clerk.knowledge().await);
            let facts = Facts {
                cluster: &parts.config.cluster.name,
                asked: parts.config.node.id,
                view: &parts.ring.load_full(),
                peers,
                lease: parts.lease.term().left(parts.env.boot_time()),
                wall_ms: parts.env.wall_ms(),
                knowledge,
            };
            Inspection::Cluster(Box::new(facts.report()))
        })
    }
}

impl InspectorParts {
    fn status(&self, peers: Vec<PeerReport>) -> StatusReport {
        let view = self.ring.load();
        let storage = &self.config.node.storage;
        let backlogs = self.hints.backlogs();
        let hints = backlogs.targets().map(|(store, waiting)| (view.ring.node_of(store), waiting.keys)).collect();
        StatusReport {
            node: self.config.node.id,
            store: self.store,
            cluster: self.config.cluster.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            start: self.start,
            epoch: view.ring.epoch,
            engine: storage.engine.to_string(),
            sync: storage.sync.to_string(),
            leased: self.lease.is_held(self.env.boot_time()),
            read_only: self.gate.closed(),
            disk_bytes: self.engine.disk_bytes(),
            disk_free_bytes: storage::disk::free_bytes(&self.config.node.data_dir).ok(),
            hints,
            peers,
        }
    }

    fn stats(&self) -> StatsReport {
        let backlogs = self.hints.backlogs();
        let mut counters = self.stats.counters();
        counters.push(("calls_in_flight".into(), self.admission.taken() as u64));
        counters.push(("hints".into(), backlogs.targets().map(|(_, waiting)| waiting.keys).sum()));
        counters.push(("hint_bytes".into(), backlogs.bytes()));
        counters.extend(self.stats.gauges());
        counters.push(("disk_bytes".into(), self.engine.disk_bytes()));
        StatsReport { node: Some(self.config.node.id), counters, latencies: self.stats.latencies() }
    }

    fn ring(&self) -> RingReport {
        let view = self.ring.load_full();
        RingReport {
            cluster: self.config.cluster.name.clone(),
            ring: view.ring.clone(),
            buckets: BTreeMap::from(view.buckets.clone()).into_iter().collect(),
        }
    }
}

impl Actor for Inspector {
    type Context = Context<Self>;
}

impl Handler<ShowThrough> for Inspector {
    type Result = ();

    fn handle(&mut self, through: ShowThrough, _: &mut Context<Self>) {
        let ShowThrough { pools, coordinators, mover, handoff, reaper, repairer } = through;
        (self.pools, self.coordinators) = (pools, coordinators);
        (self.mover, self.handoff) = (Some(mover), Some(handoff));
        (self.reaper, self.repairer) = (Some(reaper), Some(repairer));
    }
}

impl Handler<Show> for Inspector {
    type Result = ResponseFuture<Inspection>;

    fn handle(&mut self, show: Show, ctx: &mut Context<Self>) -> Self::Result {
        match show.0 {
            Inspect::Ring => Box::pin(std::future::ready(Inspection::Ring(self.parts.ring()))),
            Inspect::Stats => Box::pin(std::future::ready(Inspection::Stats(self.parts.stats()))),
            Inspect::Status => self.status(),
            Inspect::Service => Box::pin(std::future::ready(self.service())),
            Inspect::Cluster => self.cluster(),
            Inspect::Transfers => self.transfers(),
            Inspect::Hints => self.hints(),
            Inspect::Tombstones(bucket) => self.tombstones(bucket),
            Inspect::AntiEntropy => self.anti_entropy(),
            Inspect::Repair { bucket, all } => self.repair(StartRepair { bucket: bucket.map(Bytes::from), all }),
            Inspect::Locate(key) => self.locate(key, ctx),
        }
    }
}

impl Handler<ExaminedHere> for Inspector {
    type Result = ();

    fn handle(&mut self, examined: ExaminedHere, _: &mut Context<Self>) {
        for reply in examined.0 {
            match reply {
                ReplicaReply::Examined { id, result } => self.answered(id, result),
                ReplicaReply::Failed { id, error } => self.answered(id, Err(error)),
                _ => {}
            }
        }
    }
}

impl Handler<PeerEvent> for Inspector {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, _: &mut Context<Self>) {
        match event {
            PeerEvent::Replies { replies, .. } => {
                for reply in replies {
                    match reply {
                        ToCoordinator::Examined { id, result } => self.answered(Origin::sequence(id), result),
                        ToCoordinator::Failed { id, error } => self.answered(Origin::sequence(id), Err(error)),
                        _ => {}
                    }
                }
            }
            PeerEvent::Refused { refused, .. } => {
                refused.into_iter().for_each(|(id, error)| self.answered(Origin::sequence(id), Err(error)));
            }
            PeerEvent::Lost { from } => {
                let lost: Vec<u64> =
                    self.asked.iter().filter(|(_, (store, _))| *store == from).map(|(id, _)| *id).collect();
                lost.into_iter().for_each(|id| self.answered(id, Err(ReplicaError::Unreachable)));
            }
        }
    }
}
