//! The lease: how long this node may act as a member without having heard from the coordination service again.
//!
//! A node that is cut off goes on serving by the ring it knows, which the others may have changed since. That is fine for sloppy
//! requests, which promise nothing about who answered. A *strict* request (pr or pw more than zero) promises owners. So the
//! node times its session by its own clock: the service keeps a session for its timeout from the moment at which it heard
//! the last sign of life, which is not before that was *sent*; until then, less a tenth because clocks do not run equally
//! fast, the session has surely not ended and nobody has changed the ring behind this node's back.
//!
//! Two look at it. The Coordinator refuses a strict request without a lease, and looks again before it answers with success. The
//! Replica says with every answer whether it holds one: without, it counts in no pr and no pw, whatever ring the asker goes by.
//! Both read one atomic number; nobody locks or sends a message for it.
//!
//! The membership watcher alone extends it and ends it. It publishes a ring before it extends the lease that vouches for that
//! ring: who reads the [`Term`] first and the ring after it has a ring that is new enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::env::{BootTime, Env};
use crate::mutant;

/// Part of a session's timeout that is not relied upon: two clocks may differ in speed by a tenth.
const MARGIN: u32 = 10;

/// Until when this node surely has a session. Cheap to clone; all clones are one lease.
#[derive(Clone, Debug)]
pub struct Lease(Arc<AtomicU64>);

/// What the lease was at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Term(u64);

impl Term {
    /// Never.
    const NONE: Term = Term(0);

    /// Whether it is not over yet.
    pub fn is_held(self, now: BootTime) -> bool {
        now.nanos() < self.0
    }

    /// How long it is still held: zero if it is not.
    pub fn left(self, now: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now.nanos()))
    }
}

impl Lease {
    /// None yet: what a node starts with.
    pub fn none() -> Lease {
        Lease(Arc::new(AtomicU64::new(Term::NONE.0)))
    }

    /// The service has confirmed a sign of life that was sent at `sent`, of a session that lives for `timeout` without one: the lease
    /// is held until nine tenths of that have passed since. A confirmation of an older sending changes nothing.
    ///
    /// Only for the session by which the present ring was loaded and acknowledged; see [`Lease::end`].
    pub fn extend(&self, sent: BootTime, timeout: Duration) {
        let until = sent + (timeout - timeout / MARGIN);
        // Whoever sees this sees the ring that was published before it.
        self.0.fetch_max(until.nanos(), Ordering::Release);
    }

    /// Sends a sign of life, waits for it to be confirmed, and extends the lease from the moment of sending. The lease stays as it
    /// is on an error, and if this is dropped; it must be dropped before [`Lease::end`], or it could revive what has ended.
    ///
    /// `renewal` must do nothing until it is polled, as [`Session::renew`](crate::coordination::api::Session::renew) promises.
    ///
    /// # Errors
    /// Those of `renewal`.
    pub async fn renew<T, E>(
        &self,
        env: &Env,
        timeout: Duration,
        renewal: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let sent = env.boot_time();
        let confirmed = renewal.await?;
        let counted_from = if mutant!(LeaseFromReply) { env.boot_time() } else { sent };
        self.extend(counted_from, timeout);
        Ok(confirmed)
    }

    /// The session has ended, or is given up: from now on nothing strict is served, until a new session has loaded and acknowledged
    /// the ring.
    pub fn end(&self) {
        self.0.store(Term::NONE.0, Ordering::Release);
    }

    /// What it is now. Read it before the ring that it is to vouch for.
    pub fn term(&self) -> Term {
        Term(self.0.load(Ordering::Acquire))
    }

    /// Whether it is held.
    pub fn is_held(&self, now: BootTime) -> bool {
        self.term().is_held(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        BootTime::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn is_held_for_nine_tenths_from_the_sending() {
        let lease = Lease::none();
        assert!(!lease.is_held(at(0)));
        lease.extend(at(100), TIMEOUT);
        assert!(lease.is_held(at(108)));
        assert_eq!(lease.term().left(at(108)), Duration::from_secs(1));
        assert!(!lease.is_held(at(109)), "its last moment is not in it");
        assert_eq!(lease.term().left(at(200)), Duration::ZERO);
    }

    #[test]
    fn an_older_confirmation_takes_nothing_away() {
        let lease = Lease::none();
        lease.extend(at(100), TIMEOUT);
        lease.extend(at(95), TIMEOUT);
        assert!(lease.is_held(at(108)));
        lease.extend(at(101), TIMEOUT);
        assert!(lease.is_held(at(109)));
    }

    #[test]
    fn ends_at_once_for_all_and_may_begin_anew() {
        let lease = Lease::none();
        let seen_elsewhere = lease.clone();
        lease.extend(at(100), TIMEOUT);
        assert!(seen_elsewhere.is_held(at(101)));
        lease.end();
        assert!(!seen_elsewhere.is_held(at(101)));
        lease.extend(at(102), TIMEOUT);
        assert!(seen_elsewhere.is_held(at(103)));
    }

    const SLOW: Duration = Duration::from_millis(20);

    /// What a lease has left at the moment of a confirmation that took [`SLOW`].
    fn left_at_a_slow_confirmation() -> Duration {
        actix_rt::System::new().block_on(async {
            let (lease, env) = (Lease::none(), Env::real(1));
            let slow = async {
                tokio::time::sleep(SLOW).await;
                Ok::<_, ()>(env.boot_time())
            };
            let confirmed = lease.renew(&env, TIMEOUT, slow).await.expect("it is confirmed");
            lease.term().left(confirmed)
        })
    }

    #[test]
    fn a_slow_confirmation_is_counted_from_its_sending() {
        let left = left_at_a_slow_confirmation();
        assert!(left > Duration::ZERO && left <= Duration::from_secs(9) - SLOW, "{left:?} are left");
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn the_planted_fault_counts_from_the_reply() {
        use crate::mutants::{Mutant, activate};
        activate(Some(Mutant::LeaseFromReply));
        let left = left_at_a_slow_confirmation();
        activate(None);
        assert!(left >= Duration::from_secs(9), "{left:?} are left");
    }

    #[test]
    fn without_a_confirmation_nothing_is_extended() {
        actix_rt::System::new().block_on(async {
            let (lease, env) = (Lease::none(), Env::real(1));
            assert_eq!(lease.renew(&env, TIMEOUT, async { Err::<(), _>("lost") }).await, Err("lost"));
            assert!(!lease.is_held(env.boot_time()));
        });
    }
}
