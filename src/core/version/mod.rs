//! Causal versions: which write knew of which.
//!
//! Every write gets a [`Dot`], an event number of an [`Actor`]. A key's [`Object`] is its live siblings, each with its dot, and
//! a [`VersionVector`] of all events that the object has seen. Two objects [merge](Object::merge) by one rule: a
//! sibling stays if both hold it, or if the other has not seen its dot (dotted version vectors: Almeida,
//! Baquero, Gonçalves, Preguiça, Fonte, "Scalable and accurate causality tracking for eventually consistent stores", 2014).
//!
//! The rule is right only while a vector tells the truth: `(actor, n)` claims that all n events of the actor were seen. So
//! whoever [mints](mint) the next dot of an actor must remember all of its dots. An actor is therefore *one store's unbroken
//! memory of one key*: beside the object a replica keeps a *mark*, the actor that is its own for this key, never
//! replicated, and good only while the incarnation that it names is the present one. Whatever may have broken the memory
//! (a restart, a failed sync, a copy handed off and dropped) breaks the mark too, and the next write starts a new actor.
//!
//! What travels between replicas is always a whole object, never a vector without its siblings.

mod actor;
mod clock;
mod context;
pub mod mint;
mod object;
mod record;
mod vector;

pub use actor::{Actor, Dot};
pub use clock::{Timestamp, from_wall_ms};
pub use context::{BadContext, Context};
pub use object::{Clock, Malformed, Merged, Object, Payload, Sibling};
pub use record::Record;
pub use vector::VersionVector;

#[cfg(test)]
mod tests;
