//! How often the disks of a run forgot or doubled, and that it was noticed each time.

use std::fmt;
use std::ops::AddAssign;

/// Counts, of one run or of many.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Disks that were replaced by an empty one.
    pub wiped: u64,
    /// Disks that were taken back to an old copy.
    pub rolled_back: u64,
    /// Nodes that were told that their store is not the latest of its name, and set it aside.
    pub set_aside: u64,
    /// Disks that were copied to a second host, while the first one ran.
    pub cloned: u64,
    /// Second hosts that were refused.
    pub clones_refused: u64,
}

impl Tally {
    /// What was not noticed, or noticed where it had not happened.
    pub fn trouble(&self) -> Option<String> {
        let is_right = self.rolled_back == self.set_aside && self.cloned == self.clones_refused;
        (!is_right).then(|| format!("stores were taken for what they are not: {self}"))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.wiped += other.wiped;
        self.rolled_back += other.rolled_back;
        self.set_aside += other.set_aside;
        self.cloned += other.cloned;
        self.clones_refused += other.clones_refused;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Tally { wiped, rolled_back, set_aside, cloned, clones_refused } = self;
        write!(
            f,
            "{wiped} disks wiped, {rolled_back} rolled back ({set_aside} set aside), {cloned} cloned ({clones_refused} refused)"
        )
    }
}
