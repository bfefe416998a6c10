//! The runtime that the Raft crate runs on: tokio, with chance that can be seeded.
//!
//! The crate draws one thing at random, how long to wait before an election, and asks its runtime for the generator. A simulation
//! must get the same election each time it runs a seed, so there the generators follow from [`seed`].

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend, TokioInstant, TokioRuntime};
use rand08::rngs::SmallRng;
use rand08::{RngCore, SeedableRng};

thread_local! {
    static SEEDS: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// Makes everything that replicas on this thread draw from now on follow from a seed; with `None` from the operating system, as
/// it is where this was never called.
///
/// All hosts of a simulation share its thread and so one row of numbers. Since the simulation runs them in the same order
/// each time, every one of them draws the same each time as well. Called at the beginning of a run.
pub fn seed(seed: Option<u64>) {
    SEEDS.with(|seeds| *seeds.borrow_mut() = seed.map(SmallRng::seed_from_u64));
}

/// Tokio, with the generators of [`seed`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SeededRuntime;

impl AsyncRuntime for SeededRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = SmallRng;
    type OneshotSender<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <TokioRuntime as AsyncRuntime>::OneshotReceiverError;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        SEEDS.with(|seeds| match &mut *seeds.borrow_mut() {
            Some(seeds) => SmallRng::seed_from_u64(seeds.next_u64()),
            None => SmallRng::from_entropy(),
        })
    }

    fn oneshot<T: OptionalSend>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        TokioRuntime::oneshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> [u64; 3] {
        [(); 3].map(|()| SeededRuntime::thread_rng().next_u64())
    }

    #[test]
    fn what_is_drawn_follows_from_the_seed_and_each_draw_differs() {
        let drawn = [Some(1), Some(1), Some(2), None, None].map(|of| {
            seed(of);
            draw()
        });
        assert_eq!(drawn[0], drawn[1]);
        assert!(drawn[0] != drawn[2] && drawn[0] != drawn[3] && drawn[3] != drawn[4]);
        assert!(drawn[0][0] != drawn[0][1] && drawn[0][1] != drawn[0][2]);
    }
}
