//! What goes wrong, and when.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::world::World;

/// What a nemesis may do, and how often.
#[derive(Clone, Debug)]
pub struct Temper {
    /// The longest pause between two faults.
    pub pause_max: Duration,
    /// The longest that a fault lasts.
    pub fault_max: Duration,
    /// Which faults, each as often as it is named.
    pub faults: Vec<Kind>,
    /// Whether one disk is lost, once.
    pub wipe: bool,
}

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A machine's processes are killed.
    Kill,
    /// Those of the leader are.
    KillLeader,
    /// A machine loses power, perhaps in the middle of a write.
    PowerLoss,
    /// All machines do.
    PowerLossOfAll,
    /// The machines fall into two groups that do not hear each other.
    Split,
    /// The leader is cut off from everybody else.
    IsolateLeader,
    /// One machine does not hear another, who hears it.
    Deaf,
    /// Messages between two machines wait, then all come at once.
    Hold,
    /// A machine neither hears nor is heard for a while, and misses nothing: it is paused.
    Pause,
    /// One that follows misses what the others acknowledge; then another one that follows loses its disk, and comes back to
    /// the first one while the leader, who alone still holds it, is cut off. Once in a run.
    WipeApart,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Kind; 10] = [
        Kind::Kill,
        Kind::KillLeader,
        Kind::PowerLoss,
        Kind::PowerLossOfAll,
        Kind::Split,
        Kind::IsolateLeader,
        Kind::Deaf,
        Kind::Hold,
        Kind::Pause,
        Kind::WipeApart,
    ];
}

/// A fault that will end.
enum Ending {
    Restart(Vec<usize>),
    Repair(Vec<(String, String)>),
    Release(Vec<(String, String)>),
    /// The second half of [`Kind::WipeApart`], after these were cut.
    Wipe {
        apart: usize,
        cut: Vec<(String, String)>,
    },
}

/// Makes things go wrong, from a seed.
pub struct Nemesis {
    temper: Temper,
    rng: StdRng,
    next: Duration,
    endings: Vec<(Duration, Ending)>,
    /// Machines whose power ends in the middle of a write, and how long the fault then lasts.
    failing: Vec<(usize, Duration)>,
    wiped: bool,
}

impl Nemesis {
    pub fn new(seed: u64, temper: Temper) -> Nemesis {
        let rng = StdRng::seed_from_u64(seed ^ 0x6e65_6d65_7369_7300);
        Nemesis { temper, rng, next: Duration::from_secs(2), endings: vec![], failing: vec![], wiped: false }
    }

    /// Does what is due.
    pub fn tick(&mut self, sim: &mut turmoil::Sim, world: &mut World) {
        let now = sim.elapsed();
        let (due, later) = self.endings.drain(..).partition(|(at, _)| *at <= now);
        self.endings = later;
        for (_, ending) in due {
            if let Some(next) = end(sim, world, ending) {
                self.endings.push((now + self.temper.fault_max, next));
            }
        }
        self.darken(sim, world);
        if now < self.next {
            return;
        }
        self.next = now + self.up_to(self.temper.pause_max);
        let ends = now + self.up_to(self.temper.fault_max);
        let Some(&kind) = self.temper.faults.choose(&mut self.rng) else { return };
        if let Some(ending) = self.strike(sim, world, kind) {
            self.endings.push((ends, ending));
        }
    }

    /// Ends every fault.
    pub fn relent(&mut self, sim: &mut turmoil::Sim, world: &mut World) {
        let mut endings: Vec<Ending> = self.endings.drain(..).map(|(_, ending)| ending).collect();
        while let Some(ending) = endings.pop() {
            endings.extend(end(sim, world, ending));
        }
        for (machine, _) in std::mem::take(&mut self.failing) {
            world.lose_power(sim, machine, &mut self.rng);
        }
        for (a, b) in pairs(&world.names()) {
            sim.repair(a.as_str(), b.as_str());
            sim.release(a.as_str(), b.as_str());
        }
        (0..world.machines.len()).for_each(|machine| world.restart(sim, machine));
    }

    /// Machines whose power has ended stop.
    fn darken(&mut self, sim: &mut turmoil::Sim, world: &mut World) {
        let is_dark = |(machine, _): &(usize, Duration)| world.machines[*machine].file().is_without_power();
        let (dark, failing) = self.failing.drain(..).partition(is_dark);
        self.failing = failing;
        for (machine, lasts) in dark {
            world.lose_power(sim, machine, &mut self.rng);
            self.endings.push((sim.elapsed() + lasts, Ending::Restart(vec![machine])));
        }
    }

    fn strike(&mut self, sim: &mut turmoil::Sim, world: &mut World, kind: Kind) -> Option<Ending> {
        let names = world.names();
        world.oracle.recorder.note(format!("{kind:?}"));
        match kind {
            Kind::Kill | Kind::KillLeader => {
                let machine = if kind == Kind::Kill { self.any(world)? } else { world.leader()? };
                world.kill(sim, machine);
                self.forget(world, machine);
                Some(Ending::Restart(vec![machine]))
            }
            Kind::PowerLoss => {
                let machine = self.any(world)?;
                if self.rng.random_bool(0.5) && !self.failing.iter().any(|(failing, _)| *failing == machine) {
                    world.machines[machine].file().cut_power_after(self.rng.random_range(0..30));
                    let lasts = self.up_to(self.temper.fault_max);
                    self.failing.push((machine, lasts));
                    return None;
                }
                world.lose_power(sim, machine, &mut self.rng);
                self.failing.retain(|(failing, _)| *failing != machine);
                self.forget(world, machine);
                Some(Ending::Restart(vec![machine]))
            }
            Kind::PowerLossOfAll => {
                let machines = world.running();
                machines.iter().for_each(|machine| world.lose_power(sim, *machine, &mut self.rng));
                self.failing.clear();
                Some(Ending::Restart(machines))
            }
            Kind::Split => {
                let (left, right): (Vec<String>, Vec<String>) =
                    names.into_iter().partition(|_| self.rng.random_bool(0.5));
                Some(Ending::Repair(cut(sim, &left, &right)))
            }
            Kind::IsolateLeader => {
                let (leader, others) = apart(names, world.leader()?);
                Some(Ending::Repair(cut(sim, &[leader], &others)))
            }
            Kind::Deaf => {
                let mut two = names.choose_multiple(&mut self.rng, 2).cloned();
                let (from, to) = (two.next()?, two.next()?);
                sim.partition_oneway(from.as_str(), to.as_str());
                Some(Ending::Repair(vec![(from, to)]))
            }
            Kind::Hold | Kind::Pause => {
                let (one, mut others) = apart(names, self.rng.random_range(0..world.machines.len()));
                if kind == Kind::Hold {
                    others.shuffle(&mut self.rng);
                    others.truncate(1);
                }
                let held: Vec<_> = others.into_iter().map(|other| (one.clone(), other)).collect();
                held.iter().for_each(|(a, b)| sim.hold(a.as_str(), b.as_str()));
                Some(Ending::Release(held))
            }
            Kind::WipeApart => {
                let leader = world.leader().filter(|_| !self.wiped)?;
                let followers: Vec<usize> = world.running().into_iter().filter(|one| *one != leader).collect();
                let apart = *followers.choose(&mut self.rng)?;
                self.wiped = true;
                let (one, others) = self::apart(names, apart);
                Some(Ending::Wipe { apart, cut: cut(sim, &[one], &others) })
            }
        }
    }

    /// Perhaps the disk of a machine that is down is lost.
    fn forget(&mut self, world: &mut World, machine: usize) {
        if self.temper.wipe && !self.wiped && self.rng.random_bool(0.5) {
            self.wiped = true;
            world.wipe(machine);
        }
    }

    fn any(&mut self, world: &World) -> Option<usize> {
        world.running().choose(&mut self.rng).copied()
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.rng.random_range(50..=most.as_millis() as u64))
    }
}

/// Ends a fault; answers one that begins then.
fn end(sim: &mut turmoil::Sim, world: &mut World, ending: Ending) -> Option<Ending> {
    match ending {
        Ending::Restart(machines) => machines.into_iter().for_each(|machine| world.restart(sim, machine)),
        Ending::Repair(cut) => repair(sim, &cut),
        Ending::Release(held) => held.iter().for_each(|(a, b)| sim.release(a.as_str(), b.as_str())),
        Ending::Wipe { apart, cut } => {
            repair(sim, &cut);
            let leader = world.leader()?;
            let lost = world.running().into_iter().find(|machine| *machine != leader && *machine != apart)?;
            world.kill(sim, lost);
            world.wipe(lost);
            let (leader, others) = self::apart(world.names(), leader);
            let cut = self::cut(sim, &[leader], &others);
            world.restart(sim, lost);
            return Some(Ending::Repair(cut));
        }
    }
    None
}

fn repair(sim: &mut turmoil::Sim, cut: &[(String, String)]) {
    cut.iter().for_each(|(a, b)| sim.repair(a.as_str(), b.as_str()));
}

fn cut(sim: &mut turmoil::Sim, left: &[String], right: &[String]) -> Vec<(String, String)> {
    let pairs: Vec<_> = left.iter().flat_map(|a| right.iter().map(move |b| (a.clone(), b.clone()))).collect();
    pairs.iter().for_each(|(a, b)| sim.partition(a.as_str(), b.as_str()));
    pairs
}

/// One name, and the others.
fn apart(mut names: Vec<String>, one: usize) -> (String, Vec<String>) {
    (names.remove(one), names)
}

fn pairs(names: &[String]) -> impl Iterator<Item = (&String, &String)> {
    names.iter().enumerate().flat_map(|(i, a)| names[i + 1..].iter().map(move |b| (a, b)))
}
