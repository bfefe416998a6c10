//! Watches the coordination service's replicas: which store holds which session, and which sessions have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kv::coordination::nookeeper::Nookeeper;
use kv::coordination::registry::{self, Live};
use kv::coordination::state::State;
use kv::coordination::tree::{Path, Revision, SessionId};
use kv::core::id::StoreId;

use crate::history::What;
use crate::recorder::Recorder;

/// What was seen so far.
pub struct Sessions {
    recorder: Arc<Recorder>,
    live: Path,
    /// The revision at which each running replica was looked at, and the sessions that were open. A replica that starts again
    /// shows old ones once more.
    seen: BTreeMap<String, (Revision, BTreeSet<SessionId>)>,
    /// Of the sessions that hold a live entry, the store.
    holders: BTreeMap<SessionId, StoreId>,
    ended: BTreeSet<SessionId>,
    /// The latest start of each store that has held a session.
    starts: BTreeMap<StoreId, u64>,
}

impl Sessions {
    pub fn new(recorder: Arc<Recorder>) -> Sessions {
        let live = registry::LIVE.parse().expect("a path");
        Sessions {
            recorder,
            live,
            seen: BTreeMap::new(),
            holders: BTreeMap::new(),
            ended: BTreeSet::new(),
            starts: BTreeMap::new(),
        }
    }

    /// A replica's process is gone.
    pub fn stopped(&mut self, replica: &str) {
        self.seen.remove(replica);
    }

    /// Whether that start of a store has held a session, so that the service knows of it.
    pub fn knows(&self, store: StoreId, start: u64) -> bool {
        self.starts.get(&store).is_some_and(|latest| *latest >= start)
    }

    /// Looks at what a replica has applied. When a session ends its live entry goes, so the tree's revision tells whether there is
    /// anything to see.
    pub fn look(&mut self, replica: &str, nookeeper: &Nookeeper) {
        nookeeper.with_state(|state| {
            let revision = state.tree().revision();
            let before = match self.seen.get_mut(replica) {
                Some((seen, _)) if *seen == revision => return,
                Some((_, open)) => std::mem::take(open),
                None => BTreeSet::new(),
            };
            self.look_at_holders(state);
            let open: BTreeSet<SessionId> = state.sessions().collect();
            for session in before.difference(&open) {
                if self.ended.insert(*session)
                    && let Some(store) = self.holders.get(session)
                {
                    self.recorder.record(What::SessionEnded { store: *store, session: session.0 });
                }
            }
            self.seen.insert(replica.into(), (revision, open));
        });
    }

    fn look_at_holders(&mut self, state: &State) {
        let Ok(listing) = state.tree().children(&self.live) else { return };
        for name in listing.names {
            let path: Path = format!("{}/{name}", self.live).parse().expect("a path");
            let Ok(content) = state.tree().get(&path) else { continue };
            let Some(session) = content.stat.owner else { continue };
            if self.holders.contains_key(&session) || self.ended.contains(&session) {
                continue;
            }
            let live: Live = serde_json::from_slice(&content.data).expect("a live entry");
            self.holders.insert(session, live.store);
            let latest = self.starts.entry(live.store).or_default();
            *latest = live.start.max(*latest);
            self.recorder.record(What::SessionBegan { store: live.store, session: session.0 });
        }
    }
}
