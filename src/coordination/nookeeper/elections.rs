//! When a voter asks to be elected.
//!
//! The Raft crate draws the time that a voter waits once, when it starts. Two voters that drew about the same would then
//! split every vote, for ever: a term has one leader, since sessions tell leaders by it. So the crate's timer is off, and the
//! time is drawn here, anew for each election. A candidate who heard that another voter has more of the log cannot win, and
//! leaves out a turn so as not to stand in that one's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::ServerState;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Duration, Instant, sleep_until};

use super::contact::Contact;
use super::timing::Timing;
use super::types::{RaftId, Types};

/// Whether another voter has more of the log than this replica had when it last asked to be elected.
#[derive(Clone, Default, Debug)]
pub(super) struct Outlogged(Arc<AtomicBool>);

impl Outlogged {
    /// Another voter has more.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Asks to be elected whenever no leader was heard, and no one else asked, for the time drawn; for as long as it is polled.
pub(super) async fn stand(
    own: RaftId,
    raft: &openraft::Raft<Types>,
    contact: &Contact,
    timing: &Timing,
    outlogged: &Outlogged,
    mut rng: StdRng,
) {
    let mut patience = || Duration::from_millis(rng.random_range(timing.election_min_ms..=timing.election_max_ms));
    let (mut metrics, mut heard) = (raft.server_metrics(), contact.heard());
    let mut vote = metrics.borrow_and_update().vote;
    let mut at = Instant::now() + patience();
    loop {
        tokio::select! {
            biased;
            Ok(()) = heard.changed() => at = Instant::now() + patience(),
            Ok(()) = metrics.changed() => {
                let present = metrics.borrow_and_update().vote;
                if present != vote {
                    vote = present;
                    at = Instant::now() + patience();
                }
            }
            () = sleep_until(at) => {
                at = Instant::now() + patience();
                let (state, votes) = {
                    let metrics = metrics.borrow();
                    let mut voters = metrics.membership_config.membership().voter_ids();
                    (metrics.state, voters.any(|id| id == own))
                };
                if outlogged.take() {
                    continue;
                }
                if votes && state != ServerState::Leader && raft.trigger().elect().await.is_err() {
                    // Raft has ended.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
