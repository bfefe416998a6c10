//! A ring, and what a plan makes of it, explained.

use kv::core::id::{NodeId, StoreId};
use kv::core::ring::assign::{Explanation, explain};
use kv::core::ring::{Member, Ring};
use kv::wire::change::PlanReport;

/// Explains what a plan makes of a ring; `None` if nobody would be left to own anything.
pub fn planned(plan: &PlanReport, ring: &Ring) -> Option<Explanation> {
    let owners: Vec<Vec<StoreId>> = ring.slices().iter().map(|slice| stores(ring, &slice.owners)).collect();
    let mut then = owners.clone();
    for node in &plan.nodes {
        node.leaving.iter().for_each(|p| then[p.0 as usize].retain(|store| *store != node.store));
        node.arriving.iter().for_each(|p| then[p.0 as usize].push(node.store));
    }
    let members: Vec<Member> = plan
        .nodes
        .iter()
        .map(|node| Member {
            store: node.store,
            node: node.node,
            address: String::new(),
            zone: node.zone.1.clone(),
            weight: node.weight.1,
        })
        .collect();
    explain(ring.replication, &members, Some(&owners), &then).ok()
}

/// Explains the ring as it is read from.
pub fn present(ring: &Ring) -> Option<Explanation> {
    let owners: Vec<Vec<StoreId>> = ring.slices().iter().map(|slice| stores(ring, &slice.owners)).collect();
    // Whoever is served by no node has places that are to be filled, not to be placed on.
    let members: Vec<Member> = ring.members().iter().filter(|member| member.node != NodeId(0)).cloned().collect();
    explain(ring.replication, &members, Some(&owners), &owners).ok()
}

fn stores(ring: &Ring, numbers: &[u16]) -> Vec<StoreId> {
    numbers.iter().map(|&number| ring.members()[number as usize].store).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use kv::core::id::{Epoch, Partition};
    use kv::core::ring::change::{Action, Party, Situation, Standing, plan};
    use kv::wire::change::{NodePlanReport, RefusalReport};

    fn store(node: u32) -> StoreId {
        StoreId(u128::from(node))
    }

    /// A ring of three nodes and a guest, 64 partitions.
    pub fn ring() -> Ring {
        let member = |node: u32| Member {
            store: store(node),
            node: NodeId(node),
            address: format!("host{node}:1"),
            zone: "default".into(),
            weight: if node == 4 { 0 } else { 100 },
        };
        Ring::new(Epoch { generation: 0, counter: 5 }, 64, 3, (1..=4).map(member).collect()).unwrap()
    }

    /// What actions would do to it.
    pub fn plan_of(actions: &[Action]) -> PlanReport {
        let ring = ring();
        let party = |member: &Member| Party {
            store: member.store,
            node: member.node,
            zone: member.zone.clone(),
            weight: 100,
            standing: if member.weight == 0 { Standing::Guest } else { Standing::Owner },
            is_live: true,
        };
        let situation = Situation {
            replication: 3,
            owners: ring.slices().iter().map(|slice| stores(&ring, &slice.owners)).collect(),
            parties: ring.members().iter().map(party).collect(),
            heirs: Default::default(),
        };
        let plan = plan(&situation, actions);
        let node = |node: &kv::core::ring::change::NodePlan| NodePlanReport {
            node: node.before.node,
            store: node.before.store,
            is_live: true,
            standing: (node.before.standing, node.after.standing),
            zone: (node.before.zone.clone(), node.after.zone.clone()),
            weight: (node.before.share(), node.after.share()),
            owned: (node.owned, node.to_own()),
            arriving: node.arriving.clone(),
            leaving: node.leaving.clone(),
            arriving_bytes: None,
        };
        PlanReport {
            version: 1,
            epoch: ring.epoch,
            partitions: 64,
            actions: actions.to_vec(),
            nodes: plan.nodes.iter().map(node).collect(),
            moved: plan.moves(&situation.owners).len() as u32,
            replicas: plan.nodes.iter().map(|node| node.arriving.len() as u32).sum(),
            refusals: plan
                .refusals
                .into_iter()
                .map(|refusal| RefusalReport { can_be_forced: refusal.can_be_forced(), refusal })
                .collect(),
            running: None,
        }
    }

    #[test]
    fn a_plan_is_explained_from_what_moves() {
        let plan = plan_of(&[Action::Join { node: NodeId(4) }]);
        let explained = planned(&plan, &ring()).unwrap();
        assert_eq!((explained.moved, explained.fewest.replicas), (48, 48));
        let joined = explained.nodes.iter().find(|node| node.store == store(4)).unwrap();
        assert_eq!((joined.fair, joined.load.after, joined.load.arriving), (48.0, 48, 48));
        assert!(explained.unfairness < 1.0);
    }

    #[test]
    fn the_ring_as_it_is_moves_nothing() {
        let explained = present(&ring()).unwrap();
        assert_eq!((explained.moved, explained.fewest.replicas, explained.partitions), (0, 0, 64));
        assert_eq!(ring().owners(Partition(0)).len(), 3);
    }
}
