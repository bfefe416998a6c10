//! Faults that last, and how they end.

use super::super::machine::DiskCopy;
use super::super::world::World;
use crate::hosts::{Pair, apart_from, cut as cut_off, repair};

/// A fault that will end.
pub enum Ending {
    Restart(Vec<usize>),
    EndClone,
    Repair(Vec<Pair>),
    Release(Vec<Pair>),
    /// The second half of [`Kind::WipeApart`] and [`Kind::RollBackApart`], after these were cut.
    Forget {
        apart: usize,
        lost: usize,
        /// What the lost disk is taken back to; `None`: nothing.
        copy: Option<Box<DiskCopy>>,
        cut: Vec<Pair>,
    },
}

/// Ends a fault; answers one that begins then.
pub fn end(sim: &mut turmoil::Sim, world: &World, ending: Ending) -> Option<Ending> {
    match ending {
        Ending::Restart(machines) => machines.into_iter().for_each(|machine| world.restart(sim, machine)),
        Ending::EndClone => world.end_clone(sim),
        Ending::Repair(cut) => repair(sim, &cut),
        Ending::Release(held) => held.iter().for_each(|(a, b)| sim.release(a.as_str(), b.as_str())),
        Ending::Forget { apart, lost, copy, cut } => {
            repair(sim, &cut);
            let leader = world.leader().filter(|leader| *leader != lost && *leader != apart)?;
            let may_forget = |copy: &DiskCopy| world.is_known_to_be_old(lost, copy);
            if !world.machines[lost].is_running() || !copy.as_deref().is_none_or(may_forget) {
                return None;
            }
            world.kill(sim, lost);
            match &copy {
                Some(copy) => world.roll_back(lost, copy),
                None => world.wipe(lost),
            }
            let (leader, others) = apart_from(world.names(), leader);
            let without_leader = cut_off(sim, &[leader], &others);
            world.restart(sim, lost);
            return Some(Ending::Repair(without_leader));
        }
    }
    None
}
