//! The applied state, shared with those who read it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use openraft::{Entry, EntryPayload, LogId, StoredMembership};
use tokio::sync::watch;

use crate::coordination::api::SessionState;
use crate::coordination::nookeeper::types::{Endpoint, RaftId, Types};
use crate::coordination::state::{Action, Answer, Applied, Command, Reply, State};
use crate::coordination::tree::{Path, SessionId};
use crate::coordination::watch::{WatchId, Watched};
use crate::coordination::watchers::Watchers;

/// The state that one replica has applied. Any thread may read it; the thread of the service changes it.
///
/// Applying, and telling of it, happens under the lock that readers take and that watches are added under. So whoever adds a
/// watch and then reads misses no change, and a change that can be read has been told.
#[derive(Default)]
pub struct Replica {
    shared: Mutex<Shared>,
    /// Published after the state, so that who waits for it finds the state there.
    applied: watch::Sender<Option<LogId<RaftId>>>,
}

#[derive(Default)]
struct Shared {
    point: Point,
    watchers: Watchers,
}

/// The state at one point of the log.
#[derive(Clone, Default)]
pub(super) struct Point {
    pub state: State,
    /// The last entry that was applied.
    pub applied: Option<LogId<RaftId>>,
    /// The last membership that was applied.
    pub membership: StoredMembership<RaftId, Endpoint>,
}

impl Point {
    /// Applies the next entry; answers what it did if it holds a command.
    pub fn apply(&mut self, entry: Entry<Types>) -> Option<Applied> {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(command) => Some(self.state.apply(entry.log_id.leader_id.term, command)),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                None
            }
        }
    }
}

impl Replica {
    pub(super) fn new(point: Point) -> Replica {
        let applied = watch::channel(point.applied).0;
        Replica { shared: Mutex::new(Shared { point, watchers: Watchers::default() }), applied }
    }

    /// Looks at the state. Whoever looks holds up whoever applies, so it should be short.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared().point.state)
    }

    /// The last entry that was applied.
    pub fn applied(&self) -> Option<LogId<RaftId>> {
        *self.applied.borrow()
    }

    /// The last membership that was applied, which need not be the last one in the log.
    pub fn membership(&self) -> StoredMembership<RaftId, Endpoint> {
        self.shared().point.membership.clone()
    }

    /// Waits until the entry at that index is applied, or for ever: whoever calls it knows how long to wait.
    pub async fn wait_applied(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        let is_there = |applied: &Option<LogId<RaftId>>| applied.is_some_and(|applied| applied.index >= index);
        // It fails when there is no sender any more, and that is part of this replica.
        let _ = applied.wait_for(is_there).await;
    }

    /// What the holder of a session is to know of it: that it is connected, until it has ended or
    /// [`Replica::set_connected`] says otherwise. Of a session that is not open here, also not yet, that it has ended: wait for
    /// the entry that opened it first.
    pub fn session_state(&self, session: SessionId) -> watch::Receiver<SessionState> {
        let mut shared = self.shared();
        if shared.point.state.is_open(session) {
            shared.watchers.attend(session)
        } else {
            watch::channel(SessionState::Expired).1
        }
    }

    /// Says whether the service answers the holders of a session. One that has ended stays so.
    pub fn set_connected(&self, session: SessionId, connected: bool) {
        self.shared().watchers.set_connected(session, connected);
    }

    /// Adds a watch of a session; `None` if that is not open here, also not yet. The receiver sees a change each time there may
    /// be something new to read, and fails when the session has ended. To be removed by its holder.
    pub fn add_watch(
        &self,
        session: SessionId,
        path: Path,
        watched: Watched,
    ) -> Option<(WatchId, watch::Receiver<()>)> {
        let mut shared = self.shared();
        shared.point.state.is_open(session).then(|| shared.watchers.add(session, path, watched))
    }

    /// Removes a watch; one that is gone already is no harm.
    pub fn remove_watch(&self, id: WatchId) {
        self.shared().watchers.remove(id);
    }

    /// Applies the next entries and tells of them; answers a reply for each.
    pub(super) fn apply(&self, entries: impl IntoIterator<Item = Entry<Types>>) -> Vec<Reply> {
        let mut shared = self.shared();
        let Shared { point, watchers } = &mut *shared;
        let apply = |entry| match point.apply(entry) {
            Some(applied) => {
                watchers.tell(&applied);
                applied.reply
            }
            None => Ok(Answer::Done),
        };
        let replies = entries.into_iter().map(apply).collect();
        self.applied.send_replace(point.applied);
        replies
    }

    /// What no replica may do, [`Mutant::SessionExpiryByLocalClock`](crate::mutants::Mutant::SessionExpiryByLocalClock):
    /// ends sessions without the log, by a clock of its own.
    pub(in crate::coordination::nookeeper) fn expire_by_own_clock(&self, now_ms: u64) {
        let mut shared = self.shared();
        let Shared { point, watchers } = &mut *shared;
        let term = point.applied.map_or(0, |id| id.leader_id.term);
        watchers.tell(&point.state.apply(term, Command { now_ms, action: Action::Expire }));
    }

    /// Jumps to another point, past entries that nobody here has seen.
    pub(super) fn jump(&self, to: Point) {
        let mut shared = self.shared();
        shared.point = to;
        let Shared { point, watchers } = &mut *shared;
        watchers.tell_all(&point.state);
        self.applied.send_replace(point.applied);
    }

    /// A copy. Nodes share their data with it, so it takes as long as there are nodes.
    pub(super) fn point(&self) -> Point {
        self.shared().point.clone()
    }

    /// What panics under the lock is a reader, or takes the process with it.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
