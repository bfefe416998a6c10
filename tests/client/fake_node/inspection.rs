//! What fake nodes show.

use kv::core::id::{Epoch, NodeId};
use kv::wire::report::{
    ClusterReport, HeldReport, Inspect, Inspection, LatencyReport, LocateReport, PeerReport, Phase, ReplicaReport,
    Role, ServiceReport, SiblingReport, StatsReport, StatusReport,
};

use super::{CLUSTER, State};

impl State {
    pub(super) fn inspect(&self, what: Inspect) -> Inspection {
        let report = self.ring.lock().unwrap().clone();
        let ring = &report.ring;
        match what {
            Inspect::Ring => Inspection::Ring(report),
            Inspect::Status => Inspection::Status(StatusReport {
                node: self.id,
                store: ring.node(self.id).expect("a member").store,
                cluster: CLUSTER.into(),
                version: "0.0.1".into(),
                uptime_s: 3725,
                start: 2,
                epoch: ring.epoch,
                engine: "memory".into(),
                sync: "always".into(),
                leased: true,
                read_only: None,
                disk_bytes: 3 << 20,
                disk_free_bytes: Some(5 << 30),
                hints: vec![(NodeId(3), 4)],
                peers: ring.members().iter().filter(|m| m.node != self.id).map(peer).collect(),
            }),
            Inspect::Stats => {
                let latency = LatencyReport { count: 10, p50_us: 250, p95_us: 1500, p99_us: 2500, max_us: 12_000 };
                Inspection::Stats(StatsReport {
                    node: Some(self.id),
                    counters: vec![("requests".into(), self.requests.lock().unwrap().len() as u64)],
                    latencies: vec![("write".into(), latency)],
                })
            }
            Inspect::Service => Inspection::Service { node: self.id, service: self.service().map(Box::new) },
            Inspect::Cluster => Inspection::Cluster(Box::new(self.cluster())),
            Inspect::Hints => Inspection::Hints(Box::default()),
            Inspect::Transfers => Inspection::Transfers(Box::default()),
            Inspect::Tombstones(_) => Inspection::Tombstones(Box::default()),
            Inspect::AntiEntropy => Inspection::AntiEntropy(Box::default()),
            Inspect::Repair { .. } => Inspection::Repairing { pairs: 0 },
            Inspect::Locate(key) => {
                let partition = ring.partition_of(&key);
                let list = ring.preference(partition, ring.replication);
                let held = HeldReport {
                    context: "s1:7".into(),
                    siblings: vec![SiblingReport {
                        dot: "(s1, 7)".into(),
                        bytes: Some(3),
                        written_ms: 1_700_000_000_000,
                        expires_ms: None,
                    }],
                };
                let owners = list.primaries.iter().map(|&store| ReplicaReport {
                    node: ring.node_of(store),
                    owner: true,
                    role: Role::Owner,
                    holds: Ok(Some(held.clone())),
                    hints: vec![],
                });
                let fallbacks = list.fallbacks.iter().map(|&store| ReplicaReport {
                    node: ring.node_of(store),
                    owner: false,
                    role: Role::Fallback,
                    holds: Err("unreachable".into()),
                    hints: vec![NodeId(1)],
                });
                let token = format!("{:016x}", key.token().0);
                let replicas = owners.chain(fallbacks).collect();
                let (epoch, since, phase) = (ring.epoch, Epoch::default(), Phase::AtRest);
                Inspection::Located(LocateReport { token, partition, epoch, since, phase, replicas })
            }
        }
    }
}

#[cfg(feature = "server")]
impl State {
    fn service(&self) -> Option<ServiceReport> {
        self.keeper.lock().unwrap().service.clone()
    }

    fn cluster(&self) -> ClusterReport {
        self.keeper.lock().unwrap().cluster.clone().expect("FakeNode::show_cluster came before")
    }
}

#[cfg(not(feature = "server"))]
impl State {
    fn service(&self) -> Option<ServiceReport> {
        None
    }

    fn cluster(&self) -> ClusterReport {
        unreachable!("no client asks for it")
    }
}

fn peer(member: &kv::core::ring::Member) -> PeerReport {
    PeerReport {
        node: member.node,
        address: member.address.clone(),
        up: true,
        last_heard_ms: Some(12),
        latency_us: Some((200, 900)),
        in_flight: 0,
        trouble: None,
    }
}
