//! What goes wrong, and when: from the seed alone, so that a run that failed can be begun again.
//!
//! A run has rounds. In each, faults strike and overlap; at its end all of them are over. At most one store is wiped in a round,
//! and between two rounds the cluster becomes whole: so of no write are as many holders wiped as its W, which is at least two.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

/// The longest round. A longer run has more of them.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Before the first fault of a round, and between two faults at least.
const PAUSE_MIN_MS: u64 = 500;
const PAUSE_MAX_MS: u64 = 4000;
/// How long a fault lasts. The longest outlive a session with the coordination service.
const LASTS_MIN_MS: u64 = 500;
const LASTS_MAX_MS: u64 = 7000;
/// How much a slow way delays.
const DELAY_MIN_MS: u64 = 20;
const DELAY_MAX_MS: u64 = 600;

/// Something that goes wrong for a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// These nodes are killed, and start again with what their disks hold.
    Kill(Vec<u32>),
    /// These nodes do nothing, and go on where they were.
    Pause(Vec<u32>),
    /// A node is killed, loses its data, and starts again with none.
    Wipe(u32),
    /// The node with a small disk has less room than it wants to keep free.
    NearlyFullDisk,
    /// It has no room at all, until it is emptied and the node started again.
    FullDisk,
    /// These nodes, or what they say to these nodes, do not reach the others, nor the others them: connections stay, silent.
    Split(Vec<u32>),
    /// Connections between two nodes break, and new ones do too.
    Cut(u32, u32),
    /// What the first says does not reach the second, who is heard by the first.
    Deaf(u32, u32),
    /// What the first says reaches the second late.
    Slow(u32, u32, Duration),
}

impl Fault {
    /// What it is called where faults are counted.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Kill(_) => "kills",
            Fault::Pause(_) => "pauses",
            Fault::Wipe(_) => "wipes",
            Fault::NearlyFullDisk => "nearly full disks",
            Fault::FullDisk => "full disks",
            Fault::Split(_) => "splits",
            Fault::Cut(..) => "cuts",
            Fault::Deaf(..) => "deaf ways",
            Fault::Slow(..) => "slow ways",
        }
    }

    /// The nodes whose processes it strikes.
    fn processes(&self, small_disk: Option<u32>) -> Vec<u32> {
        match self {
            Fault::Kill(nodes) | Fault::Pause(nodes) => nodes.clone(),
            Fault::Wipe(node) => vec![*node],
            Fault::NearlyFullDisk | Fault::FullDisk => small_disk.into_iter().collect(),
            Fault::Split(_) | Fault::Cut(..) | Fault::Deaf(..) | Fault::Slow(..) => vec![],
        }
    }
}

/// A fault, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strike {
    /// Since the round began.
    pub from: Duration,
    /// Likewise; within the round.
    pub until: Duration,
    /// What.
    pub fault: Fault,
}

/// The faults of one round, by when they begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// How long clients work.
    pub length: Duration,
    /// What meanwhile goes wrong.
    pub strikes: Vec<Strike>,
}

/// What there is to strike.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Nodes 1 to this.
    pub nodes: u32,
    /// The node whose disk can be filled, if one can.
    pub small_disk: Option<u32>,
}

/// All rounds of a run of this length.
pub fn schedule(seed: u64, length: Duration, targets: Targets) -> Vec<Round> {
    let rounds = length.div_duration_f64(ROUND_MAX).ceil().max(1.0) as u32;
    let mut rng = StdRng::seed_from_u64(seed);
    (0..rounds).map(|_| round(&mut rng, length / rounds, targets)).collect()
}

fn round(rng: &mut StdRng, length: Duration, targets: Targets) -> Round {
    let mut strikes: Vec<Strike> = vec![];
    // When in the round a store is wiped, so that what follows strikes while it is made good.
    let mut wipe_from = Some(length.mul_f64(rng.random_range(0.05..0.6)));
    let mut from = milliseconds(rng, PAUSE_MIN_MS, PAUSE_MAX_MS);
    while from + Duration::from_millis(LASTS_MIN_MS) < length {
        let lasts = milliseconds(rng, LASTS_MIN_MS, LASTS_MAX_MS);
        // A process that is struck, or has hardly come back, is left alone.
        let struck = strikes.iter().filter(|strike| strike.until > from);
        let struck: Vec<u32> = struck.flat_map(|strike| strike.fault.processes(targets.small_disk)).collect();
        let mut free: Vec<u32> = (1..=targets.nodes).filter(|node| !struck.contains(node)).collect();
        free.shuffle(rng);
        let is_wipe = !free.is_empty() && wipe_from.take_if(|due| *due <= from).is_some();
        let fault = if is_wipe { Some(Fault::Wipe(free[0])) } else { fault(rng, free, targets) };
        if let Some(fault) = fault {
            strikes.push(Strike { from, until: (from + lasts).min(length), fault });
        }
        from += milliseconds(rng, PAUSE_MIN_MS, PAUSE_MAX_MS);
    }
    Round { length, strikes }
}

/// A fault of some kind, on processes in this order; `None` if they are all struck already.
fn fault(rng: &mut StdRng, mut free: Vec<u32>, targets: Targets) -> Option<Fault> {
    let mut nodes: Vec<u32> = (1..=targets.nodes).collect();
    nodes.shuffle(rng);
    let (one, other) = (nodes[0], nodes[1]);
    match rng.random_range(0..100) {
        0..20 => {
            // Mostly one, sometimes two, seldom all.
            let many = *[1, 1, 1, 1, 1, 1, 2, 2, targets.nodes as usize].choose(rng)?;
            free.truncate(many);
            (!free.is_empty()).then_some(Fault::Kill(free))
        }
        20..40 => {
            free.truncate(*[1, 1, 1, 2].choose(rng)?);
            (!free.is_empty()).then_some(Fault::Pause(free))
        }
        40..50 => {
            let disk = targets.small_disk.filter(|node| free.contains(node))?;
            assert!(disk <= targets.nodes);
            Some(if rng.random_bool(0.5) { Fault::NearlyFullDisk } else { Fault::FullDisk })
        }
        50..65 => {
            nodes.truncate(rng.random_range(1..targets.nodes as usize));
            Some(Fault::Split(nodes))
        }
        65..75 => Some(Fault::Cut(one, other)),
        75..87 => Some(Fault::Deaf(one, other)),
        _ => Some(Fault::Slow(one, other, milliseconds(rng, DELAY_MIN_MS, DELAY_MAX_MS))),
    }
}

fn milliseconds(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TARGETS: Targets = Targets { nodes: 5, small_disk: Some(4) };
    const LENGTH: Duration = Duration::from_secs(600);

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(schedule(7, LENGTH, TARGETS), schedule(7, LENGTH, TARGETS));
        assert_ne!(schedule(7, LENGTH, TARGETS), schedule(8, LENGTH, TARGETS));
    }

    #[test]
    fn a_round_wipes_one_store_and_ends_what_it_began() {
        for seed in 0..20 {
            let rounds = schedule(seed, LENGTH, TARGETS);
            assert_eq!(rounds.iter().map(|round| round.length).sum::<Duration>(), LENGTH);
            for round in rounds {
                let wipes = round.strikes.iter().filter(|strike| matches!(strike.fault, Fault::Wipe(_))).count();
                assert!(wipes <= 1, "{round:#?}");
                assert!(round.strikes.iter().all(|strike| strike.from < strike.until && strike.until <= round.length));
            }
        }
    }

    #[test]
    fn no_process_is_struck_twice_at_once() {
        for seed in 0..20 {
            for round in schedule(seed, LENGTH, TARGETS) {
                for (place, strike) in round.strikes.iter().enumerate() {
                    let struck = strike.fault.processes(TARGETS.small_disk);
                    let still = round.strikes[..place].iter().filter(|earlier| earlier.until > strike.from);
                    let clash = still.flat_map(|earlier| earlier.fault.processes(TARGETS.small_disk));
                    assert!(clash.into_iter().all(|node| !struck.contains(&node)), "{round:#?}");
                }
            }
        }
    }

    #[test]
    fn ten_minutes_have_every_kind() {
        let all = |targets| {
            let rounds = schedule(1, LENGTH, targets);
            let strikes = rounds.iter().flat_map(|round| &round.strikes);
            strikes.map(|strike| strike.fault.name()).collect::<BTreeSet<_>>()
        };
        assert_eq!(all(TARGETS).len(), 9);
        // Where nothing can be mounted no disk is filled.
        assert_eq!(all(Targets { small_disk: None, ..TARGETS }).len(), 7);
    }
}
