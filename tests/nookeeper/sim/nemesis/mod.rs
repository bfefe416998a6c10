//! What goes wrong, and when.

mod ending;
mod kind;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::machine::DiskCopy;
use super::world::World;
use crate::hosts::{apart_from, cut, pairs};

use ending::{Ending, end};
pub use kind::{Kind, Temper};

/// So long after the last fault all links for data are there again.
const CALM: Duration = Duration::from_secs(2);

/// How long a clone runs.
const CLONED: Duration = Duration::from_secs(3);

/// Makes things go wrong, from a seed.
pub struct Nemesis {
    temper: Temper,
    rng: StdRng,
    next: Duration,
    endings: Vec<(Duration, Ending)>,
    /// Machines whose power ends in the middle of a write, and how long the fault then lasts.
    failing: Vec<(usize, Duration)>,
    /// A disk of the past, and whose.
    copy: Option<(usize, DiskCopy)>,
    /// One disk has forgotten something.
    forgot: bool,
    /// Since when nothing goes wrong.
    calm_since: Duration,
    /// A disk is to be cloned as soon as it is calm.
    clones: bool,
    cloned: bool,
}

impl Nemesis {
    pub fn new(seed: u64, temper: Temper) -> Nemesis {
        let rng = StdRng::seed_from_u64(seed ^ 0x6e65_6d65_7369_7300);
        let next = Duration::from_secs(2);
        let calm_since = Duration::ZERO;
        let (forgot, clones, cloned) = (false, false, false);
        Nemesis { temper, rng, next, endings: vec![], failing: vec![], copy: None, forgot, calm_since, clones, cloned }
    }

    /// Does what is due.
    pub fn tick(&mut self, sim: &mut turmoil::Sim, world: &World) {
        let now = sim.elapsed();
        let (due, later) = self.endings.drain(..).partition(|(at, _)| *at <= now);
        self.endings = later;
        for (_, ending) in due {
            if let Some(next) = end(sim, world, ending) {
                self.endings.push((now + self.temper.fault_max, next));
            }
        }
        self.darken(sim, world);
        if !self.endings.is_empty() || !self.failing.is_empty() {
            self.calm_since = now;
        }
        if now < self.next || self.endings.iter().any(|(_, ending)| matches!(ending, Ending::EndClone)) {
            return;
        }
        self.next = now + self.up_to(self.temper.pause_max);
        let Some(&chosen) = self.temper.faults.choose(&mut self.rng) else { return };
        let kind = if self.clones { Kind::Clone } else { chosen };
        let ends = now + if kind == Kind::Clone { CLONED } else { self.up_to(self.temper.fault_max) };
        if let Some(ending) = self.strike(sim, world, kind) {
            self.endings.push((ends, ending));
        }
    }

    /// Ends every fault.
    pub fn relent(&mut self, sim: &mut turmoil::Sim, world: &World) {
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
    fn darken(&mut self, sim: &mut turmoil::Sim, world: &World) {
        let is_dark = |(machine, _): &(usize, Duration)| world.machines[*machine].file().is_without_power();
        let (dark, failing) = self.failing.drain(..).partition(is_dark);
        self.failing = failing;
        for (machine, lasts) in dark {
            world.lose_power(sim, machine, &mut self.rng);
            self.endings.push((sim.elapsed() + lasts, Ending::Restart(vec![machine])));
        }
    }

    fn strike(&mut self, sim: &mut turmoil::Sim, world: &World, kind: Kind) -> Option<Ending> {
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
                let (leader, others) = apart_from(names, world.leader()?);
                Some(Ending::Repair(cut(sim, &[leader], &others)))
            }
            Kind::Deaf => {
                let mut two = names.choose_multiple(&mut self.rng, 2).cloned();
                let (from, to) = (two.next()?, two.next()?);
                sim.partition_oneway(from.as_str(), to.as_str());
                Some(Ending::Repair(vec![(from, to)]))
            }
            Kind::Hold | Kind::Pause => {
                let (one, mut others) = apart_from(names, self.rng.random_range(0..world.machines.len()));
                if kind == Kind::Hold {
                    others.shuffle(&mut self.rng);
                    others.truncate(1);
                }
                let held: Vec<_> = others.into_iter().map(|other| (one.clone(), other)).collect();
                held.iter().for_each(|(a, b)| sim.hold(a.as_str(), b.as_str()));
                Some(Ending::Release(held))
            }
            Kind::WipeApart => {
                let leader = world.leader()?;
                let followers = world.running().into_iter().filter(|one| *one != leader).collect::<Vec<_>>();
                let mut two = followers.choose_multiple(&mut self.rng, 2).copied();
                let (apart, lost) = (two.next()?, two.next()?);
                self.forget_apart(sim, world, apart, lost, None)
            }
            Kind::Copy => {
                let machine = self.any(world).filter(|_| self.copy.is_none())?;
                self.copy = Some((machine, world.machines[machine].copy()?));
                world.kill(sim, machine);
                Some(Ending::Restart(vec![machine]))
            }
            Kind::RollBack => {
                let (machine, copy) = self.old_copy(world)?;
                self.forgot = true;
                world.kill(sim, machine);
                world.roll_back(machine, &copy);
                Some(Ending::Restart(vec![machine]))
            }
            Kind::RollBackApart => {
                let (leader, (lost, copy)) = (world.leader()?, self.old_copy(world)?);
                let others = world.running().into_iter().filter(|one| *one != leader && *one != lost);
                let apart = *others.collect::<Vec<_>>().choose(&mut self.rng)?;
                if lost == leader { None } else { self.forget_apart(sim, world, apart, lost, Some(copy)) }
            }
            Kind::Clone => {
                let is_calm = sim.elapsed() > self.calm_since + CALM && world.running().len() == world.machines.len();
                // First nothing else goes wrong for a while.
                self.clones = !self.cloned && !is_calm;
                let machine = self.any(world).filter(|_| is_calm && !self.cloned)?;
                self.cloned = true;
                world.clone_disk(sim, machine);
                Some(Ending::EndClone)
            }
        }
    }

    /// Cuts off one machine; then another one forgets.
    fn forget_apart(
        &mut self,
        sim: &mut turmoil::Sim,
        world: &World,
        apart: usize,
        lost: usize,
        copy: Option<DiskCopy>,
    ) -> Option<Ending> {
        if std::mem::replace(&mut self.forgot, true) {
            return None;
        }
        let (one, others) = apart_from(world.names(), apart);
        Some(Ending::Forget { apart, lost, copy: copy.map(Box::new), cut: cut(sim, &[one], &others) })
    }

    /// The copy that was made, if its machine runs and may be taken back to it.
    fn old_copy(&self, world: &World) -> Option<(usize, DiskCopy)> {
        let copy = self.copy.clone().filter(|_| !self.forgot);
        copy.filter(|(machine, copy)| world.machines[*machine].is_running() && world.is_known_to_be_old(*machine, copy))
    }

    /// Perhaps the disk of a machine that is down is lost.
    fn forget(&mut self, world: &World, machine: usize) {
        if self.temper.wipe && !self.forgot && self.rng.random_bool(0.5) {
            self.forgot = true;
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
