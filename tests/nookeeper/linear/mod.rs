//! Whether a history of one object is linearizable: whether each operation can be given a moment between its beginning and
//! its end at which it happened at once, so that all answers are those of the object used by one alone.
//!
//! - [`search`] decides it, and says which answer cannot be explained;
//! - [`node`] is the object here: one node of the tree.

pub mod node;
pub mod search;
