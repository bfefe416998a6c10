//! One node: its actors, started and stopped in order.
//!
//! The only sends between the actors (there is no cycle; answers come back in batches that never wait for mailbox space):
//!
//! ```text
//! api ─▶ Coordinator ─▶ { Replica, ConnectionPool }        MembershipWatcher ─▶ RingManager ─▶ ring snapshot
//! inbound links ─▶ Replica (and, forwarded, Coordinator)   Handoff, Inspector, Lister ─▶ { Replica, ConnectionPool }
//! inbound links ─▶ Replica (and, forwarded, Coordinator)   Handoff, Inspector ─▶ { Replica, ConnectionPool }
//!                                                          RingManager ─▶ { Coordinator, Replica, ConnectionPool }
//! inbound links ─▶ Replica (and, forwarded, Coordinator)   Handoff, Mover, Repairer ─▶ { Replica, ConnectionPool }
//! ```
//!
//! A request stays on the arbiter of its connection: every arbiter has a [`coordinator`], a [`connection_pool`] with links of its own, and
//! a [`replica`] for the partitions pinned to it; only a key pinned elsewhere costs a hop. [`disk`] is the queue before
//! the one thread that writes. [`lister`] gathers
//! pages of listings. [`clerk`] carries operators' questions to the coordination service. [`view`] is what everybody
//! the one thread that writes. [`transfer`] and [`drain`] bring partitions to where a changed ring says that they belong, [`repair`] keeps their owners equal,
//! [`work`] executes what both want. [`clerk`] carries operators' questions to the coordination service. [`view`] is what everybody
//! reads without asking, [`lease`] what they look at before they promise owners. [`mod@env`] is the seam to the surroundings.
//! the one thread that writes. [`clerk`] carries operators' questions to the coordination service. [`view`] is what everybody
//! reads without asking, [`lease`] what they look at before they promise owners. `driver` takes ring changes on. [`mod@env`] is the seam to the surroundings.
//!
//! Order of starting: the door, which lets in links of the coordination service alone; [`bootstrap`], which makes the node a member
//! of a cluster and starts that service; the membership watcher and the RingManager; with the first ring the disk, replicas, pools with their
//! coordinators, handoff, inspector and lister; then the door is open to all. Stopping goes the other way round: door, operations in
//! coordinators, handoff, mover and inspector; then the door is open to all. Stopping goes the other way round: door, operations in
//! flight, session and coordination service, links, replicas, disk.

pub mod admission;
mod belonging;
pub mod bootstrap;
pub mod clerk;
pub mod connection_pool;
pub mod coordinator;
pub mod disk;
pub mod drain;
mod driver;
pub mod env;
pub mod handoff;
pub mod inbound;
pub mod inspector;
pub mod lease;
pub mod lister;
pub mod membership_watcher;
pub mod outbox;
pub mod reap;
pub mod repair;
pub mod replica;
pub mod ring_manager;
mod start;
pub mod stats;
pub mod transfer;
pub mod view;
pub mod work;

use std::sync::Arc;

use actix::Addr;

use self::admission::Admission;
use self::clerk::Clerk;
use self::connection_pool::ConnectionPool;
use self::coordinator::Coordinator;
use self::env::Env;
use self::inspector::Inspector;
use self::lease::Lease;
use self::lister::Lister;
use self::reap::Reaper;
use self::repair::Repairer;
use self::replica::Replica;
use self::stats::Stats;
use self::transfer::Mover;
use self::view::SharedRing;
use crate::config::Config;
use crate::core::id::{ClusterId, Start};
use crate::core::request::Failure;

pub use start::{Node, StartError};

/// What connections need of a node. Cheap to clone and to send.
#[derive(Clone)]
pub struct NodeHandle {
    /// Its configuration.
    pub config: Arc<Config>,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its store, and which start of it.
    pub start: Start,
    /// The ring.
    pub ring: SharedRing,
    /// One for each arbiter.
    pub coordinators: Arc<Vec<Addr<Coordinator>>>,
    /// One for each arbiter.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// One for each arbiter.
    pub pools: Arc<Vec<Addr<ConnectionPool>>>,
    /// For operators.
    pub inspector: Addr<Inspector>,
    /// For listings.
    pub lister: Addr<Lister>,
    /// Moves partitions to where they belong.
    pub mover: Addr<Mover>,
    /// Forgets what was deleted.
    pub reaper: Addr<Reaper>,
    /// Keeps owners equal.
    pub repairer: Addr<Repairer>,
    /// For operators' dealings with the coordination service.
    pub clerk: Arc<Clerk>,
    /// How long strict requests may be served.
    pub lease: Lease,
    /// Permits for calls.
    pub admission: Arc<Admission>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

impl NodeHandle {
    /// The answer to a call without a permit.
    pub fn overloaded(&self) -> Failure {
        Failure::Overloaded { limit: "limits.calls_in_flight_max".into(), retry_after_ms: 50 }
    }
}
