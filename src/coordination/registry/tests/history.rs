//! Random histories of machines that found, join, start, stop, die, lose their disk, get it back from a backup, and are cloned,
//! several at once and with writes whose outcome is unknown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::unsure::Unsure;
use super::*;
use crate::core::ring::Ring;

/// Three that the founder lists, one that takes a number of its own, one that takes what it gets.
const MACHINES: u32 = 5;

#[derive(Clone, Debug)]
enum Action {
    /// It starts, and its identity becomes durable unless it crashes before.
    Start {
        crash: bool,
    },
    Stop,
    /// Its session lives on for a while.
    Die,
    Wipe,
    Backup,
    Restore,
    /// Another machine gets a copy of its disk.
    Clone,
    Found,
}

#[derive(Clone)]
struct Disk {
    cluster: Option<ClusterId>,
    store: StoreId,
    starts: u64,
}

struct Machine {
    node: Option<NodeId>,
    address: String,
    disk: Disk,
    backups: Vec<Disk>,
    running: Option<(Box<dyn Session>, Start)>,
}

/// A start that was admitted, and the id that its store had before.
struct Admission {
    step: usize,
    token: StoreId,
    start: Start,
    fresh: bool,
}

struct World {
    service: Local,
    rng: Arc<Mutex<SmallRng>>,
    machines: Vec<Machine>,
    /// Sessions whose holders died.
    ghosts: Vec<Box<dyn Session>>,
    admissions: Vec<Admission>,
    last: Option<View>,
    founded: Option<ClusterId>,
}

impl World {
    fn new(seed: u64) -> World {
        let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
        let machine = |i: u32| Machine {
            node: [Some(NodeId(i)), Some(NodeId(9)), None][i.saturating_sub(3) as usize],
            address: address(i),
            disk: new_disk(&rng),
            backups: vec![],
            running: None,
        };
        let machines = (1..=MACHINES).map(machine).collect();
        let (service, ghosts, admissions) = (Local::new(), vec![], vec![]);
        World { service, rng, machines, ghosts, admissions, last: None, founded: None }
    }

    async fn session(&self) -> Box<dyn Session> {
        Box::new(Unsure { session: open(&self.service).await, rng: self.rng.clone() })
    }

    /// What needs no answer happens at once; the rest is left to run beside others.
    async fn act(&mut self, i: usize, action: &Action) -> Option<(usize, bool)> {
        let copies = self.machines.len() - MACHINES as usize;
        let machine = &mut self.machines[i];
        match (action, machine.running.is_some()) {
            (Action::Start { crash }, false) => {
                machine.disk.starts += 1;
                return Some((i, *crash));
            }
            (Action::Stop, true) => machine.running.take().unwrap().0.close().await.unwrap_or_default(),
            (Action::Die, true) => self.ghosts.push(machine.running.take().unwrap().0),
            (Action::Die, false) => {
                for ghost in self.ghosts.drain(..) {
                    // Another may have ended it.
                    ghost.close().await.unwrap_or_default();
                }
            }
            (Action::Wipe, false) => machine.disk = new_disk(&self.rng),
            (Action::Backup, _) => machine.backups.push(machine.disk.clone()),
            (Action::Restore, false) => machine.disk = machine.backups.pop().unwrap_or(machine.disk.clone()),
            (Action::Clone, _) if copies < 3 => {
                let (node, disk) = (machine.node, machine.disk.clone());
                let address = format!("copy{copies}:8000");
                self.machines.push(Machine { node, address, disk, backups: vec![], running: None });
            }
            (Action::Found, _) => self.found().await,
            _ => {}
        }
        None
    }

    async fn found(&mut self) {
        let id = self.rng.lock().unwrap().random::<u32>().into();
        let (rng, session) = (self.rng.clone(), self.session().await);
        let mut draw = move || StoreId(rng.lock().unwrap().random());
        match found(&*session, &founding(id), 1, &mut draw).await {
            Ok(record) => {
                assert_eq!(self.founded, None, "a second cluster was founded");
                self.founded = Some(record.id);
            }
            Err(Error::OtherCluster { id, .. }) => assert_eq!(Some(id), self.founded),
            Err(error) => panic!("{error}"),
        }
        session.close().await.unwrap();
    }

    /// Registers the starts of some machines at once.
    async fn start(&mut self, step: usize, starting: &[(usize, bool)]) {
        let (must_succeed, must_fail) = match starting {
            [(i, _)] => (self.must_succeed(*i), self.is_held_by_another(*i)),
            _ => (false, false),
        };
        let mut tasks = vec![];
        for (i, crash) in starting {
            let Machine { node, address, disk, .. } = &self.machines[*i];
            let start = Start { store: disk.store, number: disk.starts, nonce: self.rng.lock().unwrap().random() };
            let (cluster, node, address) = (disk.cluster, *node, address.clone());
            let joiner = Joiner { cluster, node, start, address, zone: None, weight: None };
            let session = self.session().await;
            let task = tokio::spawn(async move {
                let admitted = register(&*session, &joiner, step as u64).await;
                (joiner, session, admitted)
            });
            tasks.push((*i, *crash, task));
        }
        for (i, crash, task) in tasks {
            let (joiner, session, admitted) = task.await.unwrap();
            match admitted {
                Ok(admitted) => {
                    assert!(!must_fail, "{joiner:?} took the place of another that is alive");
                    self.admitted(step, i, crash, &joiner, session, admitted);
                }
                Err(error) => {
                    assert!(!must_succeed, "{joiner:?} had to be admitted: {error}");
                    session.close().await.unwrap();
                }
            }
        }
    }

    fn admitted(
        &mut self,
        step: usize,
        i: usize,
        crash: bool,
        joiner: &Joiner,
        session: Box<dyn Session>,
        admitted: Admitted,
    ) {
        assert_eq!(Some(admitted.cluster), self.founded);
        let start = Start { store: admitted.store, ..joiner.start };
        let fresh = joiner.cluster.is_none();
        self.admissions.push(Admission { step, token: joiner.start.store, start, fresh });
        let machine = &mut self.machines[i];
        if crash {
            return self.ghosts.push(session);
        }
        machine.disk = Disk { cluster: Some(admitted.cluster), store: admitted.store, ..machine.disk };
        machine.node = Some(admitted.node);
        machine.running = Some((session, start));
    }

    /// Whether nothing speaks against a machine that starts alone: its store is where it was last, and nobody has its place.
    fn must_succeed(&self, i: usize) -> bool {
        let Machine { node, disk, .. } = &self.machines[i];
        let (Some(view), Some(node)) = (&self.last, node) else { return false };
        let nobody =
            self.ghosts.is_empty() && self.machines.iter().all(|m| m.running.is_none() || m.node != Some(*node));
        let adopted = self.admissions.iter().find(|admission| admission.fresh && admission.token == disk.store);
        let store = adopted.map_or(disk.store, |admission| admission.start.store);
        let starts = self.admissions.iter().map(|admission| admission.start).filter(|start| start.store == store);
        let last = starts.max_by_key(|start| start.number);
        let in_place = match last {
            Some(last) => last.number < disk.starts && view.present(*node).is_some_and(|member| member.store == store),
            None => {
                let address = &self.machines[i].address;
                !view.ring.members.iter().any(|m| m.is_present() && m.node != *node && m.address == *address)
            }
        };
        nobody && in_place
    }

    /// Whether another machine runs that has the place of this one's node.
    fn is_held_by_another(&self, i: usize) -> bool {
        let (Some(view), Some(node)) = (&self.last, self.machines[i].node) else { return false };
        let holder = view.live.get(&node).map(Live::start);
        let mut running = self.machines.iter().filter_map(|machine| machine.running.as_ref());
        running.any(|(_, start)| Some(*start) == holder)
    }

    /// What must hold after each step.
    async fn check(&mut self) {
        let session = self.session().await;
        let Ok(view) = read(&*session).await else { return assert_eq!(self.founded, None) };
        session.close().await.unwrap();
        assert_eq!(Some(view.cluster.id), self.founded);
        if let Some(last) = self.last.take() {
            assert!(view.ring.epoch >= last.ring.epoch, "the epoch fell");
            assert!(view.ring == last.ring || view.ring.epoch > last.ring.epoch, "two rings of one epoch");
        }
        let membership = view.membership();
        Ring::new(membership.epoch, membership.partitions, membership.replication, membership.members).unwrap();

        let mut tokens: BTreeMap<StoreId, StoreId> = BTreeMap::new();
        let mut latest: BTreeMap<StoreId, (usize, Start)> = BTreeMap::new();
        for Admission { step, token, start, fresh } in &self.admissions {
            if *fresh {
                let first = tokens.entry(start.store).or_insert(*token);
                assert_eq!(first, token, "two fresh stores are one");
            }
            let (before, latest) = latest.entry(start.store).or_insert((*step, Start { number: 0, ..*start }));
            assert_ne!(latest.number, start.number, "a copy was admitted");
            assert!(latest.number < start.number || before == step, "a store that was rolled back was admitted");
            if latest.number < start.number {
                (*before, *latest) = (*step, *start);
            }
        }
        for (store, (_, start)) in &latest {
            assert!(view.registered(*store).unwrap().number >= start.number);
        }
        let mut served = BTreeMap::new();
        for machine in &self.machines {
            let Some((session, start)) = &machine.running else { continue };
            let node = machine.node.unwrap();
            let held = acknowledge(&**session, node, view.ring.epoch).await.unwrap();
            let is_registered = view.registered(start.store) == Some(*start);
            assert!(!held || (is_registered && view.live[&node].start() == *start));
            if held {
                assert_eq!(served.insert(node, start.store), None, "two serve one node");
                assert_eq!(view.present(node).map(|member| member.store), Some(start.store));
            }
        }
        self.last = Some(view);
    }
}

fn new_disk(rng: &Mutex<SmallRng>) -> Disk {
    Disk { cluster: None, store: StoreId(rng.lock().unwrap().random()), starts: 0 }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => proptest::bool::weighted(0.15).prop_map(|crash| Action::Start { crash }),
        2 => Just(Action::Stop),
        2 => Just(Action::Die),
        2 => Just(Action::Wipe),
        1 => Just(Action::Backup),
        2 => Just(Action::Restore),
        1 => Just(Action::Clone),
        1 => Just(Action::Found),
    ]
}

proptest! {
    #[test]
    fn stores_and_nodes_are_what_they_say(
        seed: u64,
        steps in proptest::collection::vec(proptest::collection::vec((0usize..8, action()), 1..4), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed);
            world.found().await;
            world.check().await;
            for (step, actions) in steps.iter().enumerate() {
                let mut starting = vec![];
                for (i, action) in actions {
                    let i = i % world.machines.len();
                    if starting.iter().all(|(other, _)| *other != i) {
                        starting.extend(world.act(i, action).await);
                    }
                }
                world.start(step, &starting).await;
                world.check().await;
            }
        });
    }
}
