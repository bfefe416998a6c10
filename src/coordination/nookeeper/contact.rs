//! Whether this replica hears its leader.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::store::Replica;
use super::timing::Timing;
use super::types::{RaftId, Types};

/// Notes the leader's signs of life, and tells the holders of sessions when they cease.
pub(super) struct Contact {
    own: RaftId,
    raft: openraft::Raft<Types>,
    replica: Arc<Replica>,
    timing: Timing,
    /// When a leader was last heard.
    heard: watch::Sender<Option<Instant>>,
}

impl Contact {
    pub fn new(own: RaftId, raft: openraft::Raft<Types>, replica: Arc<Replica>, timing: Timing) -> Contact {
        Contact { own, raft, replica, timing, heard: watch::channel(None).0 }
    }

    /// A leader gave a sign of life and was accepted.
    pub fn touch(&self) {
        self.heard.send_replace(Some(Instant::now()));
    }

    /// When a leader was last heard; changes each time.
    pub fn heard(&self) -> watch::Receiver<Option<Instant>> {
        self.heard.subscribe()
    }

    /// How long ago this replica heard the present leader; of a leader, how long ago a majority heard it. `None` if there is
    /// none, or it was not heard yet.
    pub fn last(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.running_state.as_ref().ok()?;
        if metrics.current_leader? == self.own {
            metrics.millis_since_quorum_ack.map(Duration::from_millis)
        } else {
            self.heard.borrow().map(|at| at.elapsed())
        }
    }

    /// Watches the leader, for as long as it is polled.
    pub async fn watch(&self) {
        let mut beats = tokio::time::interval(self.timing.heartbeat());
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = Duration::from_millis(self.timing.election_max_ms);
        let (mut known, mut connected) = (None, false);
        loop {
            beats.tick().await;
            let (leader, term) = {
                let metrics = self.raft.server_metrics();
                let metrics = metrics.borrow();
                (metrics.current_leader, metrics.vote.leader_id().term)
            };
            if leader.is_some() && known != Some((leader, term)) {
                known = Some((leader, term));
                let who = leader.map_or_else(String::new, |leader| leader.to_string());
                log::info!("{who} leads the coordination service in term {term}");
            }
            let hears = self.last().is_some_and(|ago| ago <= patience);
            if hears != connected {
                connected = hears;
                if !hears {
                    log::warn!("this node hears no leader of the coordination service");
                }
                self.tell(hears);
            }
        }
    }

    /// Tells the holders of all sessions.
    pub fn tell(&self, connected: bool) {
        for session in self.replica.read(|state| Vec::from_iter(state.sessions())) {
            self.replica.set_connected(session, connected);
        }
    }
}
