//! Anti-entropy between stores in memory, and the order in which pairs come.

mod converging;
mod scheduling;
