//! A fake cluster's coordination service: one tree in the process, asked as real nodes ask it.

use std::sync::Arc;
use std::time::Duration;

use kv::config::NodeEntry;
use kv::coordination::SharedSession;
use kv::coordination::api::Service;
use kv::coordination::local::Local;
use kv::coordination::registry::{self, Founding};
use kv::coordination::status::SharedStatus;
use kv::core::id::{ClusterId, NodeId, StoreId};
use kv::node::clerk::{Clerk, Visit};
use kv::wire::message::ToClient;
use kv::wire::report::{ClusterReport, ServiceReport};
use kv::wire::tree::TreeRequest;
use tokio::sync::mpsc::UnboundedSender;

use super::{CLUSTER, FakeCluster, FakeNode};

/// What a fake node has of the service; not connected to it at first.
pub struct Keeper {
    pub clerk: Arc<Clerk>,
    pub service: Option<ServiceReport>,
    pub cluster: Option<ClusterReport>,
}

impl Keeper {
    pub fn new(node: NodeId) -> Keeper {
        let clerk = Clerk::new(node, SharedSession::default(), SharedStatus::default(), || 0);
        Keeper { clerk, service: None, cluster: None }
    }

    /// A connection's dealings with it.
    pub fn visit(&self) -> Arc<Visit> {
        Arc::new(Visit::new(self.clerk.clone()))
    }
}

/// Asks, and answers when it is done.
pub fn ask(visit: &Arc<Visit>, id: u64, timeout_ms: u32, request: TreeRequest, answers: UnboundedSender<ToClient>) {
    let visit = visit.clone();
    tokio::spawn(async move {
        let result = visit.perform(request, Duration::from_millis(timeout_ms.into())).await.map(Box::new);
        answers.send(ToClient::Tree { id, result })
    });
}

impl FakeCluster {
    /// Connects every node to a service that keeps this cluster.
    pub async fn connect_coordination(&self) -> Local {
        let service = Local::new();
        let nodes = self.nodes.iter().map(|node| {
            let entry = NodeEntry::new(node.id, node.address.clone());
            (entry, Some(StoreId(node.id.0.into())))
        });
        let founding = Founding {
            id: ClusterId(1),
            name: CLUSTER.into(),
            partitions: 64,
            replication: self.nodes.len() as u8,
            nodes: nodes.collect(),
            voters: vec![NodeId(1)],
            auto_remove_after_ms: None,
            buckets: self.ring.lock().unwrap().buckets.iter().cloned().collect(),
        };
        for node in &self.nodes {
            node.open_session(&service).await;
        }
        let founder = service.open(Duration::from_secs(10)).await.unwrap();
        registry::found(&*founder, &founding, 0, &mut StoreId::default).await.unwrap();
        service
    }
}

impl FakeNode {
    /// Gives the node a session.
    pub async fn open_session(&self, service: &Local) {
        let session = service.open(Duration::from_secs(10)).await.unwrap();
        self.state.keeper.lock().unwrap().clerk.shared_session().store(Some(Arc::new(session)));
    }

    /// What it says of the service from now on.
    pub fn show_service(&self, report: ServiceReport) {
        self.state.keeper.lock().unwrap().service = Some(report);
    }

    /// What it says of the cluster from now on.
    pub fn show_cluster(&self, report: ClusterReport) {
        self.state.keeper.lock().unwrap().cluster = Some(report);
    }
}
