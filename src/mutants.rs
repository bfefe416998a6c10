//! Planted faults.
//!
//! A checker that has never caught anything proves nothing. Each mutant switches one rule of the design off; the simulation
//! must then find a history that breaks an invariant. The feature `mutants` is in no release; without it
//! [`mutant!`](crate::mutant) is the constant `false` and costs nothing.

/// A rule that is switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// A replica acknowledges a write when it is applied, not when it is durable.
    AnswerBeforeDurable,
    /// The coordinator counts itself without storing.
    CountWithoutStoring,
    /// Minting drops the concurrent siblings: their dots are covered though nobody covered them.
    DropDot,
    /// A replica that lost its disk continues the actors it had before.
    ContinueAfterWipe,
    /// A mark of an earlier life is continued, though an unclean stop may have lost its last dots.
    ContinueForeignMark,
    /// A fallback keeps its mark when it drops a copy that was handed off.
    ContinueAfterHandoff,
    /// The other replicas are sent the new sibling alone, under the whole object's vector.
    SendOnlyNewSibling,
    /// A write whose outcome is unknown is sent again as a new one.
    RetryPut,
    /// A lease is counted from the reply to a sign of life, not from its sending.
    LeaseFromReply,
    /// A replica of the coordination service ends sessions by its own clock instead of by a replicated command.
    SessionExpiryByLocalClock,
    /// A replica of the coordination service takes its own copy for current and does not ask the leader.
    LearnerReadAsCurrent,
    /// A replica of the coordination service that lost its disk votes on under its old name.
    WipedVoterVotesAgain,
    /// A start of a store is not judged: one that was rolled back takes part in the coordination service.
    RolledBackVoterTakesPart,
    /// A partition is read from its new owners before they hold everything.
    SwitchBeforeProof,
    /// A partition is copied and read from its new owners before everybody writes to them.
    SwitchBeforeAcknowledged,
    /// Old owners take no writes any more before everybody reads from the new ones.
    RetireBeforeAcknowledged,
    /// A ring change seats owners anew that stay.
    SurvivorsChangePlace,
    /// While a partition changes hands, a write needs no quorum among those who are read from: before the switch, a quorum in the new
    /// set is enough.
    WriteQuorumInNewSetOnly,
    /// A node acknowledges an epoch while writes by an older one are in flight, and lets these end by that one.
    AcknowledgeWithWritesInFlight,
    /// Reads go to the arriving owners before they have copied what was there.
    ReadFromNewOwnersEarly,
    /// A store that drains drops what it holds before the owners have acknowledged it.
    DropBeforeDrained,
    /// A store that arrives reports itself complete before it has compared itself with its source.
    ReportArrivedEarly,
    /// Tombstones are reaped when the owners agree: neither those who do not own them nor those who are absent are asked.
    ReapWithoutAskingAll,
    /// A key that may be reaped is dropped whatever is held of it by then.
    ReapUnconditionally,
    /// Tombstones are reaped as soon as all owners hold them.
    ReapBeforeGrace,
    /// A comparison of two owners leaves the last leaf that differs alone.
    SkipLastLeaf,
}

#[cfg(feature = "mutants")]
mod active {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    impl Mutant {
        /// Those that lose or bring back data: a simulation of whole nodes finds them.
        pub const DATA: [Mutant; 8] = [
            Mutant::AnswerBeforeDurable,
            Mutant::CountWithoutStoring,
            Mutant::DropDot,
            Mutant::ContinueAfterWipe,
            Mutant::ContinueForeignMark,
            Mutant::ContinueAfterHandoff,
            Mutant::SendOnlyNewSibling,
            Mutant::RetryPut,
        ];

        /// Those of the coordination service: a simulation of it alone finds them.
        pub const COORDINATION: [Mutant; 4] = [
            Mutant::SessionExpiryByLocalClock,
            Mutant::LearnerReadAsCurrent,
            Mutant::WipedVoterVotesAgain,
            Mutant::RolledBackVoterTakesPart,
        ];

        /// Those of a ring that moves: a simulation of whole nodes with changes of the ring finds them.
        pub const MOVING: [Mutant; 9] = [
            Mutant::SwitchBeforeProof,
            Mutant::SwitchBeforeAcknowledged,
            Mutant::RetireBeforeAcknowledged,
            Mutant::SurvivorsChangePlace,
            Mutant::WriteQuorumInNewSetOnly,
            Mutant::AcknowledgeWithWritesInFlight,
            Mutant::ReadFromNewOwnersEarly,
            Mutant::DropBeforeDrained,
            Mutant::ReportArrivedEarly,
        ];

        /// Those of reaping: a simulation of whole nodes with deletes and a short grace finds them.
        pub const REAPING: [Mutant; 3] =
            [Mutant::ReapWithoutAskingAll, Mutant::ReapUnconditionally, Mutant::ReapBeforeGrace];
        /// Those of anti-entropy: a simulation in which nobody reads what diverged finds them.
        pub const REPAIR: [Mutant; 1] = [Mutant::SkipLastLeaf];

        /// Whether this one is switched on, on this thread: a simulation runs in one.
        pub fn is_active(self) -> bool {
            ACTIVE.get() == Some(self)
        }
    }

    /// Switches a mutant on, on this thread, and the one before off.
    pub fn activate(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }
}

#[cfg(feature = "mutants")]
pub use active::activate;

/// Whether a planted fault is active; `false` in every build without the feature `mutants`.
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::Mutant::$name.is_active()
    };
}

/// Whether a planted fault is active; `false` in every build without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {{
        const _: $crate::mutants::Mutant = $crate::mutants::Mutant::$name;
        false
    }};
}
