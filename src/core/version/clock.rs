//! Hybrid logical clock: wall time that never runs backwards along causality (Kulkarni et al., 2014).

/// 48 bits of milliseconds since 1970, 16 bits that count events within one.
///
/// A store-wide clock is not needed: a new timestamp exceeds what the writer had read and what the replica holds of the key.
pub type Timestamp = u64;

const LOGICAL_BITS: u32 = 16;

/// The first timestamp of a millisecond.
pub fn from_wall_ms(now_ms: u64) -> Timestamp {
    now_ms << LOGICAL_BITS
}

/// The milliseconds of a timestamp.
pub(super) fn wall_ms(time: Timestamp) -> u64 {
    time >> LOGICAL_BITS
}

/// A timestamp for an event now that knows of everything up to `seen`.
pub(super) fn next(now_ms: u64, seen: Timestamp) -> Timestamp {
    from_wall_ms(now_ms).max(seen.saturating_add(1))
}
