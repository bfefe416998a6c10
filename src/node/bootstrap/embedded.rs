//! Entering a cluster whose coordination service is in its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ask::Newcomer;
use super::found::{Decision, Seen, decide};
use super::{Bootstrap, BootstrapError, founding, lock};
use crate::config::{CoordinationConfig, NodeEntry};
use crate::coordination::api::Service;
use crate::coordination::nookeeper::types::{Endpoint, RaftId};
use crate::coordination::nookeeper::{self, Nookeeper};
use crate::coordination::registry;
use crate::coordination::tree::Path;
use crate::core::id::{ClusterId, NodeId, StoreId};
use crate::wire::join::{Admission, Join, Joined};

/// Between two rounds of looking who is there.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// When enough voters are there to make the cluster, the other nodes get so long to show up with stores of their own.
const GRACE: Duration = Duration::from_secs(3);

impl Bootstrap {
    /// Becomes a member if the store is not one, and starts the replica.
    pub(super) async fn enter_embedded(&mut self) -> Result<Nookeeper, BootstrapError> {
        let was_member = self.is_member();
        let fellows = if was_member { None } else { self.find_cluster().await? };
        let nookeeper = self.start_replica().await?;
        if let Some(fellows) = fellows {
            self.found(&nookeeper, fellows).await?;
        } else if was_member && self.is_first_voter() && !nookeeper.is_founded() {
            // It may have been interrupted in making it.
            let fellows = self.find_voters(&nookeeper).await;
            self.found(&nookeeper, fellows).await?;
        }
        if self.reception.me().generation > 0 {
            self.write_generation(&nookeeper);
        }
        if self.is_voter() && self.config.cluster.coordination.bootstrap {
            self.write_founding(&nookeeper);
        }
        Ok(nookeeper)
    }

    /// Looks around until the store belongs to a cluster. If this node is to make it, answers the stores of those who are
    /// there.
    async fn find_cluster(&mut self) -> Result<Option<BTreeMap<NodeId, StoreId>>, BootstrapError> {
        let mut enough_since = None;
        loop {
            if self.config.cluster.coordination.bootstrap && !self.config.node.joins() {
                let (decision, fellows) = self.look_around().await;
                match decision {
                    Decision::Found => return self.make_cluster(fellows).map(Some),
                    Decision::Soon if enough_since.get_or_insert_with(Instant::now).elapsed() > GRACE => {
                        return self.make_cluster(fellows).map(Some);
                    }
                    Decision::Soon => {}
                    Decision::Wait { silent } => self.reception.wait_for(waits_for_voters(&silent)),
                    Decision::Join => {
                        if self.ask_around().await? {
                            return Ok(None);
                        }
                    }
                }
            } else if self.ask_around().await? {
                return Ok(None);
            }
            self.pause().await;
        }
    }

    /// For a founder that was interrupted: the voters that are still there to be founded with, unless the cluster reaches
    /// this node first.
    async fn find_voters(&mut self, nookeeper: &Nookeeper) -> BTreeMap<NodeId, StoreId> {
        loop {
            let (decision, fellows) = self.look_around().await;
            match decision {
                Decision::Found | Decision::Soon => return fellows,
                Decision::Wait { silent } => self.reception.wait_for(waits_for_voters(&silent)),
                Decision::Join => {}
            }
            if nookeeper.is_founded() {
                return BTreeMap::new();
            }
            self.pause().await;
        }
    }

    /// Asks all listed nodes who they are.
    async fn look_around(&self) -> (Decision, BTreeMap<NodeId, StoreId>) {
        let (cluster, me) = (&self.config.cluster, self.reception.me());
        let own = self.config.node.id;
        let mut probes = JoinSet::new();
        for node in cluster.nodes.iter().filter(|node| node.id != own) {
            let (newcomer, node) = (self.newcomer(), node.clone());
            probes.spawn(async move { (node.id, newcomer.probe(&node.address).await) });
        }
        let (mut seen, mut fellows) = (BTreeMap::new(), BTreeMap::new());
        while let Some(probed) = probes.join_next().await {
            let Ok((node, Ok(keeper))) = probed else { continue };
            if keeper.node != Some(node) {
                log::warn!("node {node} says that it is node {:?}", keeper.node);
                continue;
            }
            if keeper.cluster.is_none() {
                fellows.insert(node, keeper.start.store);
            }
            seen.insert(node, keeper.cluster.map_or(Seen::Fresh(keeper.start.store), Seen::Member));
        }
        seen.insert(own, me.cluster.map_or(Seen::Fresh(me.start.store), Seen::Member));
        fellows.insert(own, me.start.store);
        let listed: Vec<NodeId> = cluster.nodes.iter().map(|node| node.id).collect();
        (decide(own, &cluster.voters(), &listed, &seen), fellows)
    }

    /// Asks whoever might be a member to let this node in; whether one did.
    async fn ask_around(&mut self) -> Result<bool, BootstrapError> {
        let own = self.config.node.id;
        let listed = self.config.cluster.nodes.iter().filter(|node| node.id != own).map(|node| node.address.clone());
        let seeds: Vec<String> = match &self.config.node.join[..] {
            [] => listed.collect(),
            join => join.to_vec(),
        };
        let join = self.join();
        let mut reasons = vec![];
        for seed in seeds {
            match self.newcomer().ask(&seed, &join).await {
                Ok(Joined::Admitted(admission)) => return self.adopt(admission).map(|()| true),
                Ok(Joined::NotYet { reason }) => reasons.push(reason),
                Ok(Joined::Refused { reason }) => return Err(BootstrapError::Refused(reason)),
                Err(error) => reasons.push(format!("{seed}: {error}")),
            }
        }
        self.reception.wait_for(format!("it waits to be let into a cluster ({})", reasons.join("; ")));
        Ok(false)
    }

    fn make_cluster(
        &mut self,
        fellows: BTreeMap<NodeId, StoreId>,
    ) -> Result<BTreeMap<NodeId, StoreId>, BootstrapError> {
        let cluster = ClusterId(self.rng.random());
        let (name, node, store) = (self.config.cluster.name.clone(), self.config.node.id, self.start().store);
        log::info!("making cluster '{name}' ({cluster}) with the stores of {} nodes", fellows.len());
        self.adopt(Admission { cluster, name, node, store, generation: 0 })?;
        Ok(fellows)
    }

    async fn start_replica(&mut self) -> Result<Nookeeper, BootstrapError> {
        let database = lock(&self.home).open_coordination()?;
        let (me, reception) = (self.reception.me(), self.reception.clone());
        let parts = nookeeper::Parts {
            own: RaftId { generation: me.generation, store: me.start.store },
            endpoint: Endpoint { node: self.config.node.id.0, address: self.config.node.advertise.clone() },
            keeper: me,
            database,
            timing: timing(&self.config.cluster.coordination, self.config.node.timing.connect_timeout_ms),
            seed: self.rng.random(),
            judge: std::sync::Arc::new(move |keeper| reception.judge_keeper(keeper)),
        };
        let nookeeper = self.thread.run(Nookeeper::start(parts)).await?;
        // It is set here alone.
        let _ = self.reception.nookeeper.set(nookeeper.clone());
        Ok(nookeeper)
    }

    /// Makes the voters that are there the first members of the replicated service.
    async fn found(&self, nookeeper: &Nookeeper, fellows: BTreeMap<NodeId, StoreId>) -> Result<(), BootstrapError> {
        let voters = self.config.cluster.voters();
        let is_voter = |node: &NodeId| voters.contains(node);
        let members: BTreeMap<RaftId, Endpoint> = fellows
            .iter()
            .filter(|(node, _)| is_voter(node))
            .filter_map(|(node, store)| {
                let address = self.config.cluster.node(*node)?.address.clone();
                Some((RaftId { generation: 0, store: *store }, Endpoint { node: node.0, address }))
            })
            .collect();
        if members.is_empty() {
            return Ok(());
        }
        let nookeeper = nookeeper.clone();
        Ok(self.thread.run(async move { nookeeper.found(members).await }).await?)
    }

    /// Writes into the tree what the configuration says of the cluster, unless somebody has. Any voter may have to: the one
    /// that made the cluster may be gone.
    fn write_founding(&mut self, nookeeper: &Nookeeper) {
        let Some(cluster) = self.reception.me().cluster else { return };
        let (nookeeper, config, mut rng) = (nookeeper.clone(), self.config.cluster.clone(), self.rng.clone());
        let (own, env) = ((self.config.node.id, self.start().store), self.env.clone());
        let Ok(cluster_path) = registry::CLUSTER.parse::<Path>() else { return };
        self.thread.spawn(async move {
            let timeout = Duration::from_millis(config.coordination.session_timeout_ms);
            loop {
                if nookeeper.with_state(|state| state.tree().stat(&cluster_path).is_some()) {
                    return;
                }
                if let Ok(session) = nookeeper.open(timeout).await {
                    let participants = nookeeper.status().voters;
                    let stores = participants.iter().map(|(id, endpoint)| (endpoint.node(), id.store));
                    let stores: BTreeMap<NodeId, StoreId> = stores.chain([own]).collect();
                    let founding = founding(&config, cluster, &stores);
                    let founded =
                        registry::found(&*session, &founding, env.wall_ms(), &mut || super::draw(&mut rng)).await;
                    // It ends by itself as well.
                    let _ = session.close().await;
                    match founded {
                        Ok(_) => return,
                        Err(error) if error.retryable() => log::info!("the cluster is not founded yet: {error}"),
                        Err(error) => return log::error!("the cluster cannot be founded: {error}"),
                    }
                }
                sleep(PAUSE).await;
            }
        });
    }

    /// After a forced recovery, raises the generation of the ring, so that no epoch that was given before passes for newer.
    /// Any node of the new generation may have to.
    fn write_generation(&self, nookeeper: &Nookeeper) {
        let (nookeeper, generation) = (nookeeper.clone(), self.reception.me().generation);
        let timeout = Duration::from_millis(self.config.cluster.coordination.session_timeout_ms);
        self.thread.spawn(async move {
            loop {
                if let Ok(session) = nookeeper.open(timeout).await {
                    let raised = registry::recovered(&*session, generation).await;
                    // It ends by itself as well.
                    let _ = session.close().await;
                    match raised {
                        Ok(()) => return,
                        Err(error) if error.retryable() => {
                            log::info!("the ring's generation is not raised yet: {error}")
                        }
                        Err(error) => return log::error!("the ring's generation cannot be raised: {error}"),
                    }
                }
                sleep(PAUSE).await;
            }
        });
    }

    fn is_first_voter(&self) -> bool {
        let coordination = &self.config.cluster.coordination;
        coordination.bootstrap && self.config.cluster.voters().first() == Some(&self.config.node.id)
    }

    fn is_voter(&self) -> bool {
        self.config.cluster.voters().contains(&self.config.node.id)
    }

    pub(super) fn newcomer(&self) -> Newcomer {
        Newcomer {
            cluster: self.reception.name().map(|name| name.to_string()),
            keeper: self.reception.me(),
            patience: Duration::from_millis(self.config.node.timing.connect_timeout_ms),
        }
    }

    pub(super) fn join(&self) -> Join {
        let node = self.node();
        let listed = node.and_then(|node| self.config.cluster.node(node).cloned());
        let NodeEntry { zone, weight, .. } = listed.unwrap_or_else(|| self.config.node.entry());
        Join { node, start: self.start(), address: self.config.node.advertise.clone(), zone, weight }
    }

    /// Between rounds, each of another length, so that nodes that start together do not go on in step.
    pub(super) async fn pause(&mut self) {
        sleep(PAUSE.mul_f64(self.rng.random_range(0.5..1.5))).await;
    }
}

fn waits_for_voters(silent: &[NodeId]) -> String {
    let silent: Vec<String> = silent.iter().map(NodeId::to_string).collect();
    format!("it waits for a majority of the voters to make the cluster; not there: node {}", silent.join(", "))
}

/// The embedded service's pace.
fn timing(config: &CoordinationConfig, connect_timeout_ms: u64) -> nookeeper::Timing {
    nookeeper::Timing {
        heartbeat_ms: config.heartbeat_ms,
        election_min_ms: config.election_timeout_ms,
        election_max_ms: config.election_timeout_ms * 2,
        connect_timeout_ms,
        snapshot_every: config.snapshot_every,
        ..nookeeper::Timing::default()
    }
}
