//! Pure Dynamo: what the store decides, without a thread, a socket, a clock or a random source.
//!
//! Time comes in as a value, randomness as a value, bytes as bytes. Everything here can be run a million
//! times a second by a property test and replayed from a printed trace (`tests/scripts`).
//!
//! In the order in which a write meets them: a [`request`] names a [`key`] and how sure it wants to be
//! ([`request::Options`], completed from its [`bucket`]); the [`ring`] turns the key's token into a preference list;
//! [`version`] merges and mints; [`quorum`] counts who holds it; a fallback's copy is a [`hint`]; [`merkle`] finds what two owners
//! hold differently.
//! [`version`] merges and mints; [`quorum`] counts who holds it; a fallback's copy is a [`hint`].
//! [`listing`] puts what owners hold of a bucket together.
//! hold differently; [`transfer`] brings a partition to new owners; [`reap`] says when what was deleted may be forgotten.
//! hold differently; [`transfer`] brings a partition to new owners, and [`repair`] keeps its owners equal.

pub mod blob;
pub mod bucket;
pub mod hint;
pub mod id;
pub mod key;
pub mod limits;
pub mod listing;
pub mod merkle;
pub mod quorum;
pub mod reap;
pub mod repair;
pub mod request;
pub mod ring;
pub mod transfer;
pub mod version;
