//! KV: a Dynamo-style replicated key-value store on actix actors.
//!
//! Every node is the same, and any node answers any request. A write is acknowledged when w replicas hold it durably, a read
//! when r have answered; concurrent writes are told apart by causal versions and handed to whoever reads.
//!
//! # Layers
//!
//! ```text
//! bin ─▶ api ─▶ node ─▶ { wire, storage, coordination } ─▶ core          client ─▶ wire ─▶ core
//! ```
//!
//! | | |
//! |---|---|
//! | [`core`](crate::core) | what Dynamo decides: placement, versions, quorums. Pure: no thread, socket, clock or random source |
//! | [`wire`] | what travels between programs, and what applications and nodes say to each other |
//! | [`storage`] | bytes on stable storage; knows nothing of versions |
//! | [`coordination`] | what the nodes must agree on: members, liveness, buckets. A tree as ZooKeeper has it, kept by Raft in the nodes themselves or by a ZooKeeper |
//! | [`node`] | the actors. They hold state, move messages, and do what `core` decided |
//! | [`api`] | the door: applications and other nodes connect here |
//! | [`client`] | the library for applications: plain tokio, without actix or storage |
//! | [`config`] | what an operator decides, with the defaults; [`testing`] runs whole clusters inside a test |
//!
//! Who may name whom is tested (`tests/architecture.rs`).
//!
//! # The life of a write
//!
//! 1. An application describes a [`Put`] and awaits it. The client has learnt the ring from some node, and sends the
//!    [`Request`](crate::core::request::Request) to an owner of the key.
//! 2. There the [`acceptor`] has given the connection to one arbiter, and there everything stays: [`native`] reads whatever
//!    came, and hands it in one batch to the arbiter's [`Coordinator`].
//! 3. The Coordinator completes the options [from the bucket](crate::core::quorum::size) and looks the key's
//!    [preference list](crate::core::ring) up in the published [`view`]. A node that does not own the key forwards the write
//!    once. An owner starts a [`WriteMachine`]; from here on the machine decides and the actor executes.
//! 4. *Mint*: the [`Replica`] of the key's partition merges the write with what it holds, gives it its
//!    [dot](crate::core::version), and puts the record into the queue of the [`disk`].
//! 5. *Send*: meanwhile the merged object, always whole, goes to the other owners through the [`ConnectionPool`]: one link for
//!    each peer, one batch for each turn. At the other end [`inbound`] hands it to a Replica, which merges it and queues it
//!    likewise. The share of an owner that is down goes to the next fallback, with a [hint](crate::core::hint).
//! 6. One thread applies all that waits, syncs once for all of it, and tells the Replicas. Only now the acknowledgements leave.
//! 7. The machine counts them. At w (and pw) the application is answered with the new context; later answers are still
//!    collected. As soon as w cannot be reached any more, it is told so: *not done*, or *outcome unknown* if some replica may
//!    hold the write.
//! 8. When an owner is back, [`handoff`] delivers what was kept for it and drops the copy.
//!
//! # The life of a read
//!
//! 1. The same way to a Coordinator, which starts a [`ReadMachine`]: it asks max(r, pr) owners, itself first and then the quickest. For
//!    owners that are down fallbacks are asked, unless the read is strict.
//! 2. Each Replica answers with what is durable. Who is slower than usual is not waited for: the next one is asked as well.
//! 3. The machine merges the answers. At r (and pr) the application gets every surviving sibling and one context that
//!    covers them; a write with that context replaces them.
//! 4. When all who were asked have answered, those that were behind are sent the merged object.
//!
//! # The life of a node
//!
//! 1. [`bootstrap`]: a store with a random id finds out where it belongs. It makes a cluster together with a majority of the
//!    voters that its configuration names, or asks any member to let it in; afterwards it knows.
//! 2. The replica of the [coordination service] starts on a thread of its own. Three or five nodes vote, the
//!    others learn.
//! 3. The [`MembershipWatcher`] opens a session, [registers] this start of the store, and reads who is
//!    in the cluster; the [`RingManager`] makes the ring of it. The last ring is kept at home, so a node that starts without the service
//!    serves all the same.
//! 4. While its session is confirmed the node holds a [`lease`]: only then are strict requests served, and only
//!    then does its replica count in pr and pw. Sloppy requests never ask.
//! 5. A store that was restored from an old copy, or runs twice, is told so at the door, and counts as new or is refused.
//!
//! # Where to start reading
//!
//! [`core`](crate::core), with its traces in `tests/scripts`: they read like a textbook. Then [`core::quorum::write`](crate::core::quorum::write) and
//! the actor that executes it, [`Coordinator`]; [`Replica`]; [`node`] for how they are started and stopped. What must always hold is in
//! `tests/simulation/invariants`, and [`mutants`] shows that breaking it is noticed.
//!
#![cfg_attr(
    feature = "server",
    doc = "
[`acceptor`]: api::acceptor
[`native`]: api::native
[`Coordinator`]: node::coordinator::Coordinator
[`Replica`]: node::replica::Replica
[`ConnectionPool`]: node::connection_pool::ConnectionPool
[`disk`]: node::disk
[`inbound`]: node::inbound
[`handoff`]: node::handoff
[`bootstrap`]: node::bootstrap
[`MembershipWatcher`]: node::membership_watcher::MembershipWatcher
[`RingManager`]: node::ring_manager::RingManager
[`lease`]: node::lease
[coordination service]: coordination::nookeeper
[registers]: coordination::registry
[`view`]: node::view"
)]
#![cfg_attr(feature = "client", doc = "[`Put`]: client::Put")]
//! [`WriteMachine`]: crate::core::quorum::write::WriteMachine
//! [`ReadMachine`]: crate::core::quorum::read::ReadMachine
// What a feature leaves out leads to the map of the layers instead.
#![cfg_attr(not(feature = "client"), doc = "[`client`]: #layers\n[`Put`]: #layers")]
#![cfg_attr(
    not(feature = "server"),
    doc = "
[`storage`]: #layers
[`coordination`]: #layers
[`node`]: #layers
[`api`]: #layers
[`config`]: #layers
[`testing`]: #layers
[`acceptor`]: #layers
[`native`]: #layers
[`Coordinator`]: #layers
[`Replica`]: #layers
[`ConnectionPool`]: #layers
[`disk`]: #layers
[`inbound`]: #layers
[`handoff`]: #layers
[`bootstrap`]: #layers
[`MembershipWatcher`]: #layers
[`RingManager`]: #layers
[`lease`]: #layers
[coordination service]: #layers
[registers]: #layers
[`view`]: #layers"
)]

#[cfg(all(feature = "sim", not(tokio_unstable)))]
compile_error!(
    "the simulation needs RUSTFLAGS=\"--cfg tokio_unstable\": without it a panicking actor is silent and select! is random"
);

pub mod core;
pub mod mutants;
pub mod wire;

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod coordination;
#[cfg(feature = "server")]
pub mod node;
#[cfg(feature = "server")]
pub mod storage;
#[cfg(feature = "server")]
pub mod testing;
