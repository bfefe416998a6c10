//! Quorum machines.
