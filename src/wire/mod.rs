//! What travels between programs: length-delimited MessagePack.
//!
//! A connection opens with a [`handshake`], then carries [`frame`]s in both directions. A frame holds a batch of
//! [`message`]s, so that a burst of operations costs one system call and one length check. [`exchange`] is how two stores find
//! what they hold differently. [`report`]s are what operators look at, [`tree`] is what they ask of the coordination service,
//! [`change`] what they ask of the ring. [`net`] is the seam to real or simulated sockets, [`servers`] how people write where they
//! are.
//! [`message`]s, so that a burst of operations costs one system call and one length check. [`report`]s
//! are what operators look at, [`tree`] is what they ask of the coordination service, [`list`] what a listing asks. [`net`] is the seam to real or simulated sockets, [`servers`] how people write where they are.

pub mod change;
pub mod dial;
pub mod exchange;
pub mod frame;
pub mod handshake;
pub mod join;
pub mod list;
pub mod message;
pub mod net;
pub mod report;
pub mod servers;
pub mod tree;
