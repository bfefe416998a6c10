//! How the cluster is: what the coordination service says, put beside what this node's links say.
//!
//! Everything is judged here, from facts, so that every interface tells the same. Two kinds of absence are kept apart:
//! without a link a member's data is out of reach now, without a session it will not be waited for.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::coordination::registry::change::{down_report, progress};
use crate::coordination::registry::{AlarmKind, Standing, View};
use crate::core::id::{NodeId, Partition, StoreId};
use crate::core::ring::Member;
use crate::core::ring::change::Action;
use crate::node::clerk::{Knowledge, Registry};
use crate::node::view::RingView;
use crate::wire::report::{
    ClusterReport, Finding, Gap, LeaseReport, Liveness, MemberReport, NookeeperReport, PeerReport, ServiceReport,
    StoreFate, UnderReplicated,
};

/// What a report is made of.
pub(super) struct Facts<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// This node.
    pub asked: NodeId,
    /// The ring it works with.
    pub view: &'a RingView,
    /// The others, as its links see them.
    pub peers: Vec<PeerReport>,
    /// How long its lease is still held.
    pub lease: Duration,
    /// Its clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// What the coordination service says.
    pub knowledge: Knowledge,
}

impl Facts<'_> {
    /// The report.
    pub fn report(self) -> ClusterReport {
        let ring = &self.view.ring;
        let mut members: Vec<MemberReport> = ring.members().iter().map(|member| self.member(member)).collect();
        members.sort_by_key(|member| (member.node, member.store));
        let (shares, under_replicated) = self.shares(&members);
        for member in &mut members {
            member.partitions = shares.get(&member.store).copied().unwrap_or_default();
        }
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let registry = self.knowledge.registry.as_ref().and_then(|registry| registry.as_ref().ok());
        let view = registry.map(|registry| &registry.view);
        let mut report = ClusterReport {
            cluster: self.cluster.into(),
            asked: self.asked,
            epoch: ring.epoch,
            partitions: ring.partitions(),
            replication: ring.replication,
            session: self.knowledge.session,
            lease: LeaseReport { left_ms: millis(self.lease) },
            members,
            under_replicated,
            change: view.filter(|view| view.running().is_some()).and_then(progress).map(Box::new),
            staged: view.map(|view| view.staged.record.actions.clone()).unwrap_or_default(),
            down: view.map(|view| down_report(view, self.wall_ms)).unwrap_or_default(),
            findings: vec![],
            service: self.knowledge.service,
        };
        let mut findings = urgent(&report);
        match &self.knowledge.registry {
            Some(Ok(registry)) => findings.extend(stores(registry)),
            Some(Err(reason)) => findings.push(Finding::ServiceTrouble { reason: reason.clone() }),
            None => {}
        }
        findings.extend(nodes(&report));
        findings.extend(view.map(|view| guests(&report, view)).unwrap_or_default());
        if !report.staged.is_empty() {
            findings.push(Finding::Staged { actions: report.staged.len() as u32 });
        }
        findings.extend(spare_voters(&report));
        report.findings = findings;
        report
    }

    fn member(&self, member: &Member) -> MemberReport {
        let Member { store, node, address, zone, weight } = member.clone();
        let peer = self.peers.iter().find(|peer| peer.node == node);
        let up = node == self.asked || peer.is_some_and(|peer| peer.up);
        let trouble = match (up, peer) {
            (true, _) => None,
            (false, Some(peer)) => Some(peer.trouble.clone().unwrap_or_else(|| "no link yet".into())),
            (false, None) => Some("no node serves this store".into()),
        };
        let (standing, liveness) = (self.standing(member), self.liveness(member));
        MemberReport { node, store, address, zone, weight, standing, partitions: 0, up, trouble, liveness }
    }

    /// What the registry says; without one, what follows from the ring.
    fn standing(&self, member: &Member) -> Standing {
        if let Some(Ok(registry)) = &self.knowledge.registry
            && let Some(known) = registry.view.ring.members.iter().find(|known| known.store == member.store)
        {
            return known.standing;
        }
        match (member.node, member.weight) {
            (NodeId(0), _) => Standing::Replaced,
            (_, 0) => Standing::Guest,
            _ => Standing::Owner,
        }
    }

    fn liveness(&self, member: &Member) -> Liveness {
        let Some(Ok(registry)) = &self.knowledge.registry else { return Liveness::Unknown };
        let live = registry.view.live.get(&member.node).filter(|live| live.store == member.store);
        let Some((live, session)) = live.zip(registry.sessions.get(&member.node)) else { return Liveness::Gone };
        let known = self.knowledge.service.as_ref().map(ServiceReport::sessions).unwrap_or_default();
        let known = known.iter().find(|known| known.session == *session);
        Liveness::Live {
            session: *session,
            timeout_ms: known.map(|known| known.timeout_ms),
            silent_ms: known.and_then(|known| known.silent_ms),
            epoch: live.epoch,
        }
    }

    /// How much each store owns, and what lacks an owner.
    fn shares(&self, members: &[MemberReport]) -> (BTreeMap<StoreId, u32>, UnderReplicated) {
        let ring = &self.view.ring;
        let up: BTreeMap<StoreId, bool> = members.iter().map(|member| (member.store, member.up)).collect();
        let mut shares = BTreeMap::<StoreId, u32>::new();
        let mut lacking = UnderReplicated::default();
        for partition in (0..ring.partitions()).map(|number| Partition(number as u16)) {
            let mut reached = 0;
            let owners = ring.owners(partition);
            let wanted = owners.len();
            for owner in owners {
                *shares.entry(owner.store).or_default() += 1;
                reached += usize::from(up[&owner.store]);
            }
            lacking.partitions += u32::from(reached < wanted);
            lacking.without_owner += u32::from(reached == 0);
        }
        let down = members.iter().filter(|member| !member.up);
        let gap = |member: &MemberReport| {
            let partitions = *shares.get(&member.store)?;
            Some(Gap { node: member.node, store: member.store, partitions })
        };
        lacking.gaps = down.filter_map(gap).collect();
        (shares, lacking)
    }
}

/// What keeps requests or changes from being served.
fn urgent(report: &ClusterReport) -> Vec<Finding> {
    let mut findings = vec![];
    if report.under_replicated.without_owner > 0 {
        findings.push(Finding::NoOwner { partitions: report.under_replicated.without_owner });
    }
    let connected = report.session.is_some_and(|session| session.connected);
    match report.lease.left_ms {
        0 => findings.push(Finding::LeaseOver),
        left_ms if !connected => findings.push(Finding::LeaseEnds { in_ms: left_ms }),
        _ => {}
    }
    if report.service.is_some() && !connected {
        findings.push(Finding::NoSession);
    }
    match &report.service {
        Some(ServiceReport::Nookeeper(service)) => {
            let (reached, needed) = voters(report, service);
            // A leader that hears no majority goes on calling itself one.
            if service.leader.is_none() || (reached < needed && !connected) {
                findings.push(Finding::NoLeader { reached, needed });
            }
            findings.extend(service.trouble.clone().map(|reason| Finding::ServiceTrouble { reason }));
        }
        // Its own operators see more of it.
        Some(ServiceReport::ZooKeeper(_)) | None => {}
    }
    findings
}

/// Stores that were left behind, and copies that were refused.
fn stores(registry: &Registry) -> Vec<Finding> {
    let view = &registry.view;
    let alarms = view.alarms.iter().map(|(store, alarm)| {
        let address = alarm.address.clone();
        let fate = match alarm.kind {
            AlarmKind::RolledBack => {
                StoreFate::RolledBack { address, shown: alarm.start, registered: alarm.registered }
            }
            AlarmKind::Cloned => StoreFate::Cloned { address },
            AlarmKind::Replaced => StoreFate::CameBack { address },
        };
        Finding::Store { store: *store, node: alarm.node, fate }
    });
    let replaced = view.ring.members.iter().filter(|member| member.standing == Standing::Replaced).map(|member| {
        let by = view.stores.get(&member.store).and_then(|record| record.replaced_by);
        Finding::Store { store: member.store, node: member.node, fate: StoreFate::Replaced { by } }
    });
    alarms.chain(replaced).collect()
}

/// Members that are not as they should be.
fn nodes(report: &ClusterReport) -> Vec<Finding> {
    let others = report.members.iter().filter(|member| member.node != report.asked && member.node != NodeId(0));
    others.filter_map(|member| node(report, member)).collect()
}

fn node(report: &ClusterReport, member: &MemberReport) -> Option<Finding> {
    let MemberReport { node, partitions, up, .. } = *member;
    match member.liveness {
        Liveness::Live { timeout_ms, silent_ms, .. } if !up => {
            let ends = timeout_ms.zip(silent_ms).map(|(timeout_ms, silent_ms)| timeout_ms.saturating_sub(silent_ms));
            let reason = member.trouble.clone().unwrap_or_default();
            Some(Finding::NodeUnreached { node, partitions, reason, session_ends_ms: ends })
        }
        _ if !up => Some(Finding::NodeDown { node, partitions }),
        Liveness::Gone => Some(Finding::NodeWithoutSession { node }),
        Liveness::Live { epoch: Some(epoch), .. } if epoch < report.epoch => Some(Finding::NodeBehind { node, epoch }),
        Liveness::Live { .. } | Liveness::Unknown => None,
    }
}

/// Members that stand in for others and own nothing, where that is left to an operator.
fn guests(report: &ClusterReport, view: &View) -> Vec<Finding> {
    let running = report.change.iter().flat_map(|change| &change.actions);
    let asked_for: Vec<_> = running.chain(&report.staged).flat_map(Action::nodes).collect();
    // The cluster itself gives a new store the places of the one that its node lost.
    let is_heir = |node| view.ring.members.iter().any(|m| m.node == node && m.standing == Standing::Replaced);
    let guests = report.members.iter().filter(|member| member.standing == Standing::Guest && member.up);
    let idle = guests.filter(|member| !asked_for.contains(&member.node) && !is_heir(member.node));
    idle.map(|member| Finding::OwnsNothing { node: member.node }).collect()
}

fn spare_voters(report: &ClusterReport) -> Option<Finding> {
    let Some(ServiceReport::Nookeeper(service)) = &report.service else { return None };
    let (reached, needed) = voters(report, service);
    let tight = service.leader.is_some() && reached == needed && (reached as usize) < service.voters.len();
    tight.then_some(Finding::NoVoterToSpare { reached, needed })
}

/// How many voters this node reaches, and how many make a majority.
fn voters(report: &ClusterReport, service: &NookeeperReport) -> (u32, u32) {
    let up = |store: StoreId| report.members.iter().any(|member| member.store == store && member.up);
    let reached = service.voters.iter().filter(|voter| up(voter.store)).count();
    (reached as u32, (service.voters.len() / 2 + 1) as u32)
}
