//! Ring changes from staging to their end, with nodes that acknowledge and copy at once when they are asked.

use super::change::{
    ChangeRecord, Driven, Settings, advance_once, clear, commit, down_report, forget, plan_report, progress,
    report_arrived, report_drained, report_unsynced, set_auto_remove_after, stage, turn_back,
};
use super::*;
use crate::core::id::Partition;
use crate::core::ring::change::{Action, Hold, Marks, Origin, Refusal, Waits, arrivals};
use crate::core::ring::{Motion, Slice};
use crate::wire::change::ChangeFailure;

fn n(node: u32) -> NodeId {
    NodeId(node)
}

fn store(of: u128) -> StoreId {
    StoreId(of)
}

/// A cluster whose nodes do what they should when they are told to.
struct Nodes {
    service: Local,
    sessions: BTreeMap<NodeId, Box<dyn Session>>,
    admitted: BTreeMap<NodeId, Admitted>,
    now_ms: u64,
}

impl Nodes {
    /// Nodes 1, 2 and 3 own everything; those above are guests.
    async fn new(count: u32) -> Nodes {
        let (service, _) = founded().await;
        let mut nodes = Nodes { service, sessions: BTreeMap::new(), admitted: BTreeMap::new(), now_ms: 1_000_000 };
        for node in 1..=count {
            nodes.start(fresh(node, 0x100 + u128::from(node))).await.unwrap();
        }
        nodes
    }

    async fn start(&mut self, joiner: Joiner) -> Result<StoreId, Error> {
        let session = open(&self.service).await;
        let admitted = register(&*session, &joiner, self.now_ms).await?;
        let (node, store) = (admitted.node, admitted.store);
        self.sessions.insert(node, session);
        self.admitted.insert(node, admitted);
        Ok(store)
    }

    async fn kill(&mut self, node: u32) {
        self.sessions.remove(&n(node)).expect("it lives").close().await.unwrap();
    }

    /// A store of before starts once more.
    async fn restart(&mut self, node: u32, number: u64) -> Result<StoreId, Error> {
        let joiner = again(&self.admitted[&n(node)], number, number);
        self.start(joiner).await
    }

    fn any(&self) -> &dyn Session {
        &**self.sessions.values().next().expect("a node")
    }

    async fn view(&self) -> View {
        self.any().sync().await.unwrap();
        read(self.any()).await.unwrap()
    }

    async fn drive(&self) -> Driven {
        let (node, session) = self.sessions.iter().next().expect("a node");
        advance_once(&**session, &Settings { node: *node, window: 4 }, self.now_ms).await.unwrap()
    }

    /// Whoever lives acknowledges the ring.
    async fn acknowledge(&self) {
        let epoch = self.view().await.ring.epoch;
        for (node, session) in &self.sessions {
            assert!(acknowledge(&**session, *node, epoch).await.unwrap());
        }
    }

    /// Whoever lives and is asked to, arrives and drains.
    async fn work(&self) {
        self.acknowledge().await;
        let view = self.view().await;
        for live in view.live.values() {
            let (mut arrived, mut drained) = (Marks::new(), Marks::new());
            for (p, slice) in view.ring.named_slices().iter().enumerate() {
                let partition = Partition(p as u16);
                let is_pending = matches!(slice.motion, Some(Motion::Pending(_)));
                if is_pending && arrivals(slice).any(|(_, store, _)| store == live.store) {
                    arrived.insert(partition, slice.since);
                }
                if slice.draining.contains(&live.store) {
                    drained.insert(partition, slice.since);
                }
            }
            report_arrived(self.any(), live.store, &arrived).await.unwrap();
            report_drained(self.any(), live.store, &drained).await.unwrap();
        }
    }

    /// Drives until nothing moves any more; answers how the ring is then.
    async fn settle(&self) -> View {
        for _ in 0..500 {
            if self.drive().await == Driven::Nothing {
                self.work().await;
                if self.drive().await == Driven::Nothing {
                    return self.view().await;
                }
            }
        }
        panic!("it never ends: {:?}", progress(&self.view().await));
    }

    async fn commit(&self, actions: &[Action]) -> Result<ChangeRecord, Error> {
        let mut version = 0;
        for action in actions {
            version = stage(self.any(), action.clone()).await?.version;
        }
        commit(self.any(), version, true, n(1), self.now_ms).await
    }
}

/// How many partitions each store owns.
fn owned(view: &View) -> BTreeMap<u128, usize> {
    let mut owned = BTreeMap::new();
    let slices = view.ring.named_slices();
    slices.iter().flat_map(|slice| &slice.owners).for_each(|store| *owned.entry(store.0).or_default() += 1);
    owned
}

fn are_at_rest(view: &View) -> bool {
    view.ring.named_slices().iter().all(|slice| slice.motion.is_none() && slice.draining.is_empty())
}

fn standing(view: &View, of: u128) -> Option<Standing> {
    view.ring.members.iter().find(|member| member.store == store(of)).map(|member| member.standing)
}

fn failure(result: Result<ChangeRecord, Error>) -> ChangeFailure {
    match result {
        Err(Error::Change(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_joins() {
    let nodes = Nodes::new(4).await;
    let staged = stage(nodes.any(), Action::Join { node: n(4) }).await.unwrap();
    assert_eq!((staged.version, staged.actions.len()), (1, 1));
    let plan = plan_report(&nodes.view().await);
    assert_eq!((plan.refusals.len(), plan.version, plan.replicas), (0, 1, 12));
    let joins = plan.nodes.iter().find(|node| node.node == n(4)).unwrap();
    assert_eq!((joins.owned, joins.arriving.len(), joins.standing), ((0, 12), 12, (Standing::Guest, Standing::Owner)));

    let change = commit(nodes.any(), 1, false, n(2), 5).await.unwrap();
    assert_eq!((change.number, change.origin, change.through), (1, Origin::Operator, n(2)));
    assert!(nodes.view().await.staged.record.actions.is_empty());
    let view = nodes.settle().await;
    assert!(are_at_rest(&view));
    assert_eq!(owned(&view), [(1, 12), (2, 12), (3, 12), (0x104, 12)].into());
    assert_eq!(standing(&view, 0x104), Some(Standing::Owner));
    assert!(!view.change.as_ref().unwrap().is_running() && view.transfers.is_empty());
    let done = progress(&view).unwrap();
    assert_eq!((done.phases.done, done.stores[3].arrived), (done.phases.done.max(1), (12, 12)));
}

#[tokio::test]
async fn nothing_moves_before_it_is_acknowledged_copied_and_acknowledged_again() {
    let nodes = Nodes::new(4).await;
    nodes.commit(&[Action::Join { node: n(4) }]).await.unwrap();
    while nodes.drive().await == Driven::Wrote {}
    let pending = |view: &View| -> Vec<Slice> {
        view.ring.named_slices().into_iter().filter(|slice| slice.motion.is_some()).collect()
    };
    let view = nodes.view().await;
    assert_eq!(pending(&view).len(), 4, "the window");
    let report = progress(&view).unwrap();
    assert_eq!((report.phases.pending, report.waiting.len()), (4, 4));
    let of = vec![store(1), store(2), store(3), store(0x104)];
    assert_eq!(report.waiting[0].waits, Waits::Acknowledgement { of, since: view.ring.epoch });
    nodes.acknowledge().await;
    assert_eq!(nodes.drive().await, Driven::Nothing);
    let waits = progress(&nodes.view().await).unwrap().waiting;
    assert_eq!(waits[0].waits, Waits::Transfer { to: vec![(store(0x104), true)] });
    nodes.work().await;
    assert_eq!(nodes.drive().await, Driven::Wrote);
    let view = nodes.view().await;
    assert_eq!(progress(&view).unwrap().phases.switched, 4);
    assert!(pending(&view).len() > 4, "others follow in the same ring");
    let epoch = view.ring.epoch;
    assert_eq!(nodes.drive().await, Driven::Nothing);
    nodes.acknowledge().await;
    assert_eq!(nodes.drive().await, Driven::Wrote);
    let retired = nodes.view().await.ring.named_slices().iter().filter(|slice| !slice.draining.is_empty()).count();
    assert_eq!((retired, nodes.view().await.ring.epoch.counter), (4, epoch.counter + 1));
}

#[tokio::test]
async fn of_two_operators_one_wins() {
    let nodes = Nodes::new(5).await;
    let (one, other) = (&*nodes.sessions[&n(1)], &*nodes.sessions[&n(2)]);
    let first = stage(one, Action::Join { node: n(4) }).await.unwrap();
    let second = stage(other, Action::Join { node: n(5) }).await.unwrap();
    let looked_at_less = failure(commit(one, first.version, false, n(1), 1).await);
    assert_eq!(looked_at_less, ChangeFailure::PlanChanged { expected: first.version, found: second.version });
    let both =
        tokio::join!(commit(one, second.version, false, n(1), 1), commit(other, second.version, false, n(2), 1),);
    let (winner, loser) = match both {
        (Ok(winner), loser) => (winner, failure(loser)),
        (loser, winner) => (winner.unwrap(), failure(loser)),
    };
    let told = ChangeFailure::Running { number: 1, origin: Origin::Operator, through: winner.through };
    assert_eq!(loser, told);
    // Staging goes on, committing does not.
    let third = stage(one, Action::Leave { node: n(1) }).await.unwrap();
    assert_eq!(failure(commit(one, third.version, true, n(1), 1).await), told);
    assert_eq!(clear(one).await.unwrap().actions, []);
    let empty = nodes.settle().await.staged.version;
    assert_eq!(failure(commit(one, empty, true, n(1), 1).await), ChangeFailure::Refused(vec![Refusal::Nothing]));
}

#[tokio::test]
async fn what_is_refused_can_be_forced_where_that_makes_sense() {
    let nodes = Nodes::new(3).await;
    let version = stage(nodes.any(), Action::Leave { node: n(3) }).await.unwrap().version;
    let refused = failure(commit(nodes.any(), version, false, n(1), 1).await);
    let fewer = Refusal::FewerOwners { before: 3, after: 2, replication: 3 };
    assert!(matches!(&refused, ChangeFailure::Refused(refusals) if refusals.contains(&fewer)), "{refused:?}");
    commit(nodes.any(), version, true, n(1), 1).await.unwrap();
    assert_eq!(owned(&nodes.settle().await), [(1, 16), (2, 16)].into());
}

#[tokio::test]
async fn a_change_that_is_turned_back_leaves_no_trace() {
    let nodes = Nodes::new(5).await;
    let before = nodes.view().await.ring;
    nodes.commit(&[Action::Join { node: n(4) }, Action::Replace { node: n(2), by: n(5) }]).await.unwrap();
    for _ in 0..3 {
        nodes.drive().await;
        nodes.work().await;
    }
    let view = nodes.view().await;
    assert!(owned(&view).contains_key(&0x104) && !are_at_rest(&view));
    assert_eq!(failure(turn_back(nodes.any(), 2).await), ChangeFailure::NoChange { number: 2 });
    turn_back(nodes.any(), 1).await.unwrap();
    turn_back(nodes.any(), 1).await.unwrap();
    let view = nodes.settle().await;
    let owners = |ring: &RingRecord| ring.named_slices().into_iter().map(|slice| slice.owners).collect::<Vec<_>>();
    assert_eq!(owners(&view.ring), owners(&before));
    assert_eq!(view.ring.members, before.members);
    assert!(are_at_rest(&view) && view.ring.epoch > before.epoch);
    assert_eq!(failure(turn_back(nodes.any(), 1).await), ChangeFailure::NoChange { number: 1 });
}

#[tokio::test]
async fn a_node_leaves_and_is_a_guest_when_it_returns() {
    let mut nodes = Nodes::new(4).await;
    let far = Action::Set { node: n(4), weight: Some(50), zone: Some("far".into()) };
    nodes.commit(&[Action::Join { node: n(4) }, far]).await.unwrap();
    assert_eq!(owned(&nodes.settle().await)[&0x104], 16, "alone in its zone it has some of everything");
    nodes.commit(&[Action::Leave { node: n(4) }]).await.unwrap();
    let view = nodes.settle().await;
    assert_eq!(owned(&view), [(1, 16), (2, 16), (3, 16)].into());
    assert_eq!((standing(&view, 0x104), view.stores[&store(0x104)].state), (None, StoreState::Left));
    assert!(view.roster().members.contains_key(&store(0x104)), "it may have to hear of things");
    let start = nodes.admitted[&n(4)].clone();
    let same = judge(view.stores.get(&store(0x104)), Start { store: start.store, number: 1, nonce: 100 });
    assert_eq!(same, Err(Verdict::Left { store: store(0x104), node: n(4) }));

    nodes.kill(4).await;
    assert_eq!(nodes.restart(4, 2).await, Ok(store(0x104)));
    let view = nodes.view().await;
    let member = view.present(n(4)).unwrap();
    assert_eq!((member.standing, member.zone.as_str(), member.weight), (Standing::Guest, "far", 50));
    assert_eq!(view.stores[&store(0x104)].was, None);
}

#[tokio::test]
async fn a_node_that_is_down_for_long_is_removed_alone() {
    let mut nodes = Nodes::new(5).await;
    nodes.commit(&[Action::Join { node: n(4) }, Action::Join { node: n(5) }]).await.unwrap();
    nodes.settle().await;
    nodes.kill(5).await;
    nodes.settle().await;
    let held = |view: &View, now_ms| down_report(view, now_ms).into_iter().map(|down| down.hold).collect::<Vec<_>>();
    let view = nodes.view().await;
    assert_eq!(view.stores[&store(0x105)].down_since_ms, Some(nodes.now_ms));
    assert_eq!(held(&view, nodes.now_ms + 59_000), [Some(Hold::NotYet { left_ms: 1000 })]);
    // A second one: nobody is removed.
    nodes.kill(4).await;
    nodes.now_ms += 60_000;
    let view = nodes.settle().await;
    let others = |node: u32| Some(Hold::OthersDown { nodes: vec![n(node)] });
    assert_eq!(held(&view, nodes.now_ms + 60_000), [others(5), others(4)]);
    nodes.restart(4, 2).await.unwrap();
    report_unsynced(nodes.any(), store(1), &(0..16).map(Partition).collect()).await.unwrap();
    let view = nodes.settle().await;
    assert_eq!(held(&view, nodes.now_ms), [Some(Hold::NotInSync { nodes: vec![n(1)] })]);
    assert_eq!(view.stores[&store(0x104)].down_since_ms, None);
    report_unsynced(nodes.any(), store(1), &Default::default()).await.unwrap();
    set_auto_remove_after(nodes.any(), None).await.unwrap();
    assert_eq!(nodes.drive().await, Driven::Nothing);
    set_auto_remove_after(nodes.any(), Some(60_000)).await.unwrap();

    let view = nodes.settle().await;
    let change = view.change.as_ref().unwrap();
    assert_eq!((change.number, change.origin, change.is_running()), (2, Origin::Automatic, false));
    assert_eq!(owned(&view), [(1, 12), (2, 12), (3, 12), (0x104, 12)].into());
    assert_eq!(view.cluster.voters, [n(1), n(2), n(3)]);
    assert_eq!((standing(&view, 0x105), view.stores[&store(0x105)].state), (None, StoreState::Removed));

    // It was not gone. It is a guest, which may deliver what only it has.
    nodes.restart(5, 2).await.unwrap();
    assert_eq!(standing(&nodes.settle().await, 0x105), Some(Standing::Guest));
    let alive = forget(nodes.any(), store(0x105), 1).await;
    assert!(matches!(alive, Err(Error::Invalid { .. })), "{alive:?}");
    nodes.kill(5).await;
    assert_eq!(forget(nodes.any(), store(0x105), 1).await, Ok(n(5)));
    assert_eq!(standing(&nodes.view().await, 0x105), None);
    let verdict = Verdict::Forgotten { store: store(0x105) };
    assert_eq!(nodes.restart(5, 3).await, Err(verdict.into()));
    assert!(matches!(forget(nodes.any(), store(1), 1).await, Err(Error::Invalid { .. })), "it owns partitions");
}

#[tokio::test]
async fn a_removed_node_that_was_alive_is_a_guest_at_once() {
    let nodes = Nodes::new(4).await;
    nodes.commit(&[Action::Join { node: n(4) }]).await.unwrap();
    nodes.settle().await;
    nodes.commit(&[Action::Remove { node: n(4) }]).await.unwrap();
    let view = nodes.settle().await;
    assert_eq!(standing(&view, 0x104), None);
    let joiner =
        Joiner { start: Start { number: 1, nonce: 100, store: store(0x104) }, ..again(&nodes.admitted[&n(4)], 1, 100) };
    register(&*nodes.sessions[&n(4)], &joiner, 9).await.unwrap();
    assert_eq!(standing(&nodes.view().await, 0x104), Some(Standing::Guest));
}

#[tokio::test]
async fn another_one_votes_instead_of_a_voter_that_leaves() {
    let nodes = Nodes::new(4).await;
    nodes.commit(&[Action::Replace { node: n(2), by: n(4) }]).await.unwrap();
    let view = nodes.settle().await;
    assert_eq!(view.cluster.voters, [n(1), n(4), n(3)]);
    assert_eq!(owned(&view), [(1, 16), (3, 16), (0x104, 16)].into());
}

#[tokio::test]
async fn a_wiped_node_gets_its_places_back_without_an_operator() {
    let mut nodes = Nodes::new(3).await;
    nodes.kill(2).await;
    assert_eq!(nodes.drive().await, Driven::Wrote);
    assert_eq!(nodes.start(fresh(2, 0x202)).await, Ok(store(0x202)));
    assert_eq!(nodes.drive().await, Driven::Wrote);
    let change = nodes.view().await.change.unwrap();
    assert_eq!(
        (change.origin, &change.actions[..]),
        (Origin::Automatic, &[Action::Replace { node: n(2), by: n(2) }][..])
    );
    // Wiped once more while it copies.
    nodes.drive().await;
    assert_eq!(standing(&nodes.view().await, 0x202), Some(Standing::Owner));
    nodes.kill(2).await;
    assert_eq!(nodes.start(fresh(2, 0x302)).await, Ok(store(0x302)));
    let view = nodes.settle().await;
    assert_eq!(owned(&view), [(1, 16), (3, 16), (0x302, 16)].into());
    let members: Vec<u128> = view.ring.members.iter().map(|member| member.store.0).collect();
    assert_eq!((members, are_at_rest(&view)), (vec![1, 3, 0x302], true));
    assert_eq!(view.stores[&store(2)].state, StoreState::Replaced);
}

#[tokio::test]
async fn a_change_goes_on_without_a_node_that_died_in_it() {
    let mut nodes = Nodes::new(6).await;
    let joins: Vec<Action> = (4..7).map(|node| Action::Join { node: n(node) }).collect();
    nodes.commit(&joins).await.unwrap();
    nodes.drive().await;
    nodes.work().await;
    nodes.kill(6).await;
    let stuck = nodes.settle().await;
    assert!(stuck.running().is_some(), "node 6 is waited for");
    let waits = progress(&stuck).unwrap().waiting;
    assert!(
        waits.iter().any(|report| report.waits == Waits::Transfer { to: vec![(store(0x106), false)] }),
        "{waits:?}"
    );
    let live = nodes.commit(&[Action::Remove { node: n(5) }]).await;
    assert!(matches!(failure(live), ChangeFailure::Running { number: 1, .. }));
    clear(nodes.any()).await.unwrap();
    let amended = nodes.commit(&[Action::Remove { node: n(6) }]).await.unwrap();
    assert_eq!((amended.number, amended.actions.len()), (1, 4));
    let view = nodes.settle().await;
    assert!(view.running().is_none() && are_at_rest(&view), "{:?}", progress(&view));
    assert_eq!(standing(&view, 0x106), None);
    let owned = owned(&view);
    assert!(owned.len() == 5 && owned.values().sum::<usize>() == 48, "{owned:?}");
}

#[tokio::test]
async fn turning_back_does_without_a_node_that_died() {
    let mut nodes = Nodes::new(5).await;
    nodes.commit(&[Action::Join { node: n(4) }]).await.unwrap();
    nodes.settle().await;
    nodes.commit(&[Action::Join { node: n(5) }]).await.unwrap();
    for _ in 0..2 {
        nodes.drive().await;
        nodes.work().await;
    }
    nodes.kill(4).await;
    turn_back(nodes.any(), 2).await.unwrap();
    nodes.settle().await;
    nodes.commit(&[Action::Remove { node: n(4) }]).await.unwrap();
    let view = nodes.settle().await;
    assert!(view.running().is_none() && are_at_rest(&view), "{:?}", progress(&view));
    assert_eq!(owned(&view), [(1, 16), (2, 16), (3, 16)].into());
    assert_eq!((standing(&view, 0x104), standing(&view, 0x105)), (None, Some(Standing::Guest)));
}

#[test]
fn the_largest_ring_in_motion_can_be_kept() {
    let member = |i: u32| RingMember {
        store: store(u128::MAX - u128::from(i)),
        node: n(i),
        address: format!("node{i}.example.org:8000"),
        zone: "zone-a".into(),
        weight: 100,
        standing: Standing::Owner,
        rest: Rest::new(),
    };
    let slice: Slice<u16> = "997,998,999>997,998,996-995@1.1000000".parse().unwrap();
    let epoch = slice.since;
    let ring =
        RingRecord { epoch, members: (0..1000).map(member).collect(), slices: vec![slice; 1 << 14], rest: Rest::new() };
    let bytes = serde_json::to_vec(&ring).unwrap().len() as u64;
    assert!(bytes < crate::coordination::tree::Limits::default().write_bytes_max, "{bytes} bytes");
}
