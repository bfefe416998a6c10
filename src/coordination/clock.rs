//! The clock by which sessions and leases are timed.
//!
//! A service goes on counting while a machine that holds a session is suspended, so the holder must count that time too. The usual
//! monotonic clock (`tokio::time::Instant`) stops meanwhile and would let a lease outlive its session.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The system's monotonic clock that counts suspend, by its name here.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// The system's monotonic clock that counts suspend, by its name here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// How long the machine has been on, suspended or not. Never goes back, and knows nothing of a simulation's time.
pub fn since_boot() -> Duration {
    let time = clock_gettime(CLOCK);
    // Never negative: the clock begins with the machine.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
