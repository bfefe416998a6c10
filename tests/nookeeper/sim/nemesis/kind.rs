//! What may go wrong.

use std::time::Duration;

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
    /// the first one while the leader, who alone still holds it, is cut off. Once in a run, like all that forgets.
    WipeApart,
    /// The disk of a machine is copied, and the machine is killed. The copy is of its past as soon as it has started again.
    Copy,
    /// The machine whose disk was copied is taken back to the copy.
    RollBack,
    /// As [`Kind::WipeApart`], but the disk is not lost: it is taken back to the copy.
    RollBackApart,
    /// A second host runs on a copy of a machine's disk while the machine runs. Nothing else goes wrong meanwhile. Once in a run.
    Clone,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Kind; 14] = [
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
        Kind::Copy,
        Kind::RollBack,
        Kind::RollBackApart,
        Kind::Clone,
    ];
}
