//! Who is let in: what the door asks before a link of another node is served.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::callers::{Callers, Present};
use super::suspects::Suspects;
use crate::coordination::api::Service;
use crate::coordination::nookeeper::Nookeeper;
use crate::coordination::registry::{self, StoreRecord, Verdict};
use crate::core::id::{ClusterId, Start, StoreId};
use crate::wire::handshake::{Keeper, Refusal};

/// What the coordination service knows of stores.
pub type Registered = BTreeMap<StoreId, StoreRecord>;

/// What is said of this node, and asked of others, at every greeting. Shared by the door, the dialling of coordination links and
/// whoever makes the node a member.
pub struct Reception {
    /// This node.
    me: ArcSwap<Keeper>,
    /// The cluster's name, once it is known.
    name: ArcSwapOption<String>,
    /// What the node waits for before it serves.
    waits_for: ArcSwap<String>,
    registered: ArcSwap<Registered>,
    callers: Callers,
    /// Copies that were refused.
    pub suspects: Suspects,
    /// Where newcomers are registered, once it can be used.
    pub service: OnceLock<Arc<dyn Service>>,
    /// The embedded service, once it runs.
    pub nookeeper: OnceLock<Nookeeper>,
}

impl Reception {
    /// For a node that is `me`, in the cluster of that name if its configuration says one.
    pub fn new(me: Keeper, name: Option<String>) -> Reception {
        Reception {
            me: ArcSwap::from_pointee(me),
            name: ArcSwapOption::from_pointee(name),
            waits_for: ArcSwap::from_pointee("it starts".to_owned()),
            registered: ArcSwap::default(),
            callers: Callers::default(),
            suspects: Suspects::default(),
            service: OnceLock::new(),
            nookeeper: OnceLock::new(),
        }
    }

    /// This node as it presents itself.
    pub fn me(&self) -> Keeper {
        Keeper::clone(&self.me.load())
    }

    /// The cluster's name, once it is known.
    pub fn name(&self) -> Option<Arc<String>> {
        self.name.load_full()
    }

    /// The node belongs to a cluster now.
    pub fn become_member(&self, me: Keeper, name: String) {
        self.me.store(me.into());
        self.name.store(Some(name.into()));
    }

    /// What the node waits for before it serves.
    pub fn waits_for(&self) -> String {
        String::clone(&self.waits_for.load())
    }

    /// Says what the node waits for, in the log as well if that is new.
    pub fn wait_for(&self, what: String) {
        if **self.waits_for.load() != what {
            log::info!("{what}");
            self.waits_for.store(what.into());
        }
    }

    /// Learns what is registered.
    pub fn learn(&self, registered: Registered) {
        self.registered.store(registered.into());
    }

    /// Judges whoever is at the other end of a coordination link, whichever side opened it. A store without a cluster passes:
    /// it may ask who is here, and to join.
    pub fn judge_keeper(&self, other: &Keeper) -> Result<(), Refusal> {
        let me = self.me.load();
        let (Some(own), Some(theirs)) = (me.cluster, other.cluster) else { return Ok(()) };
        self.judge_cluster(own, theirs)?;
        if other.generation < me.generation {
            return Err(Refusal::Recovered { generation: me.generation });
        }
        self.judge_start(other.start)
    }

    /// [`Reception::judge_keeper`] of one that calls. A copy is noted, to be told of.
    pub fn judge_caller(&self, caller: &Keeper, now_ms: u64) -> Result<(), Refusal> {
        self.judge_keeper(caller).inspect_err(|refusal| {
            let registered = self.registered.load().get(&caller.start.store).map(|record| record.start);
            self.suspects.note(caller, refusal, registered, now_ms);
        })
    }

    /// Judges a link for data.
    pub fn judge_peer(&self, cluster: ClusterId, start: Start) -> Result<(), Refusal> {
        let own = self.me.load().cluster;
        self.judge_cluster(own.ok_or_else(|| self.starting())?, cluster)?;
        self.judge_start(start)
    }

    /// Notes an open data link of a store that calls from `from`.
    pub fn enter(&self, start: Start, from: &str) -> Result<Present, Refusal> {
        self.callers.enter(start, from)
    }

    /// The node does not serve yet.
    pub fn starting(&self) -> Refusal {
        Refusal::Starting { reason: self.waits_for() }
    }

    fn judge_cluster(&self, own: ClusterId, theirs: ClusterId) -> Result<(), Refusal> {
        if own == theirs { Ok(()) } else { Err(Refusal::OtherCluster { id: own }) }
    }

    /// By the tree of the embedded service, which is there before any leader is; else by what was last learnt. A store that
    /// is not known here may be known to those who heard later, and is no copy of one that is.
    fn judge_start(&self, start: Start) -> Result<(), Refusal> {
        let me = self.me.load();
        if start.store == me.start.store && start != me.start {
            return Err(Refusal::Cloned { store: start.store, address: me.address.clone() });
        }
        self.callers.check(start)?;
        let judged = match self.nookeeper.get() {
            Some(nookeeper) => nookeeper.with_state(|state| registry::judge_by(state.tree(), start)),
            None => registry::judge(self.registered.load().get(&start.store), start).map_err(registry::Error::from),
        };
        match judged {
            Err(registry::Error::Verdict(verdict)) => refusal(verdict).map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }
}

fn refusal(verdict: Verdict) -> Option<Refusal> {
    match verdict {
        Verdict::RolledBack { store, seen, .. } => Some(Refusal::RolledBack { store, seen }),
        Verdict::Cloned { store, address } => Some(Refusal::Cloned { store, address }),
        Verdict::Replaced { store, by, .. } => Some(Refusal::Replaced { store, by }),
        Verdict::OtherCluster { id, .. } => Some(Refusal::OtherCluster { id }),
        Verdict::Forgotten { store } => Some(Refusal::NotAMember { store }),
        Verdict::Unknown { .. } | Verdict::Left { .. } => None,
    }
}
