//! What a replica does while it leads: it puts commands into the log, with the time, and says how long the log is.

use std::sync::Arc;
use std::time::Duration;

use openraft::error::RaftError;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::link::message::{Ask, Told};
use super::store::Replica;
use super::timing::Timing;
use super::types::{RaftId, Types};
use crate::coordination::state::{Action, Answer, Command};
use crate::mutant;

/// Commands that wait to be applied. More are refused.
const COMMANDS_MAX: usize = 1024;

/// Leads, when it is this replica's turn.
pub(super) struct Leader {
    own: RaftId,
    raft: openraft::Raft<Types>,
    replica: Arc<Replica>,
    timing: Timing,
    permits: Semaphore,
    /// Where its clock began. It never goes back, and nobody compares it with another leader's.
    began: Instant,
}

impl Leader {
    pub fn new(own: RaftId, raft: openraft::Raft<Types>, replica: Arc<Replica>, timing: Timing) -> Leader {
        Leader { own, raft, replica, timing, permits: Semaphore::new(COMMANDS_MAX), began: Instant::now() }
    }

    /// The clock that sessions are judged by while this replica leads.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Answers as the leader, if this is the one. May be dropped; what was begun may then still happen.
    pub async fn answer(&self, ask: Ask) -> Told {
        let leader = self.raft.server_metrics().borrow().current_leader;
        if leader != Some(self.own) {
            let cause = leader.map_or_else(|| "nobody leads".into(), |leader| format!("{leader} leads"));
            return Told::Refused { cause };
        }
        match timeout(self.timing.call_timeout(), self.lead(ask)).await {
            Ok(told) => told,
            Err(_) => Told::Lost { cause: "the leader finds no majority".into() },
        }
    }

    async fn lead(&self, ask: Ask) -> Told {
        match ask {
            Ask::Act(action) => self.act(action).await,
            // Asks a majority whether this is the leader still, for a later one may have gone on without it.
            Ask::ReadIndex => match self.raft.get_read_log_id().await {
                Ok((id, _)) => Told::Done { index: id.map_or(0, |id| id.index), reply: Ok(Answer::Done) },
                Err(error) => Told::Refused { cause: error.to_string() },
            },
        }
    }

    async fn act(&self, action: Action) -> Told {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Told::Refused { cause: format!("{COMMANDS_MAX} commands wait already") };
        };
        // The one place where a command gets its time.
        match self.raft.client_write(Command { now_ms: self.now_ms(), action }).await {
            Ok(response) => Told::Done { index: response.log_id.index, reply: response.data },
            // It may have entered the log before another replica began to lead, who removed it here but not everywhere.
            Err(RaftError::APIError(_)) => Told::Lost { cause: "the leader was replaced".into() },
            Err(RaftError::Fatal(fatal)) => Told::Lost { cause: fatal.to_string() },
        }
    }

    /// Ends the sessions whose time is over, for as long as it is polled.
    pub async fn end_sessions(&self) {
        let beat = self.timing.heartbeat();
        let mut beats = tokio::time::interval(beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pauses = Pauses::new(beat);
        loop {
            beats.tick().await;
            if pauses.just_ended(Instant::now()) {
                continue;
            }
            let (leader, term) = {
                let metrics = self.raft.server_metrics();
                let metrics = metrics.borrow();
                (metrics.current_leader, metrics.vote.leader_id().term)
            };
            if mutant!(SessionExpiryByLocalClock) {
                self.replica.expire_by_own_clock(self.now_ms());
            } else if leader == Some(self.own) && self.replica.read(|state| state.is_expiry_due(term, self.now_ms())) {
                // Nobody waits for it, and if it failed it is due again.
                self.answer(Ask::Act(Action::Expire)).await;
            }
        }
    }
}

/// Notices that this process did not run for a while. The signs of life that came in meanwhile still wait to be read, so no
/// session is ended in the first beat after it.
struct Pauses {
    beat: Duration,
    last: Instant,
    waited: bool,
}

impl Pauses {
    fn new(beat: Duration) -> Pauses {
        Pauses { beat, last: Instant::now(), waited: false }
    }

    /// Whether the beat at `now` is the first one after a pause. Beats that are late again and again are no pause.
    fn just_ended(&mut self, now: Instant) -> bool {
        let late = now.duration_since(self.last) > 2 * self.beat;
        self.last = now;
        self.waited = late && !self.waited;
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_beat_after_a_pause_is_left_out() {
        let beat = Duration::from_millis(100);
        let mut pauses = Pauses::new(beat);
        let mut now = pauses.last;
        let mut after = |beats: u32| {
            now += beat * beats;
            pauses.just_ended(now)
        };
        assert_eq!([1, 2, 50, 1, 1].map(&mut after), [false, false, true, false, false]);
        assert_eq!([50, 50, 50, 50].map(&mut after), [true, false, true, false]);
    }
}
