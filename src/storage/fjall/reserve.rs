//! The part of the disk that writes leave free, looked at now and then instead of at every batch.
//!
//! Asking the file system costs a system call, which is as much as a small batch itself. What is found is good for a share
//! of the reserve and for a moment, whichever ends first:
//!
//! - [`UNSEEN_SHARE`] of the reserve may be written before the next look. The journal takes no more than that, and what the
//!   background writes for these bytes is a few times as much, so most of the reserve is left when the next look refuses.
//! - [`UNSEEN_TIME`] may pass, because others fill the disk too, and so does the background for batches applied long ago. At
//!   a gigabyte a second they take 100 MB in it, less than half of the default reserve.
//!
//! Below the reserve every batch looks, so that writes resume with the first one that finds space.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::{Batch, StorageError, disk};

/// How much of the reserve may be written between two looks: one part in so many.
const UNSEEN_SHARE: u64 = 16;

/// How long a look is good for.
const UNSEEN_TIME: Duration = Duration::from_millis(100);

pub(super) struct Reserve {
    bytes: u64,
    /// The last look that found space.
    last: Mutex<Option<Look>>,
}

struct Look {
    at: Instant,
    bytes_since: u64,
}

impl Reserve {
    /// Keeps `bytes` free.
    pub fn new(bytes: u64) -> Reserve {
        Reserve { bytes, last: Mutex::new(None) }
    }

    /// Refuses `batch` if the disk of `path` had less than the reserve free when it was last looked at.
    pub fn admit(&self, path: &Path, batch: &Batch) -> Result<(), StorageError> {
        let bytes =
            batch.changes.iter().map(|(_, key, value)| key.len() + value.as_ref().map_or(0, |value| value.len()));
        let look = || disk::free_bytes(path).map_err(|error| StorageError::io(path, error));
        match self.free_bytes_if_short(bytes.sum::<usize>() as u64, Instant::now(), look)? {
            Some(bytes_free) => Err(StorageError::DiskFull { path: path.into(), bytes_free }),
            None => Ok(()),
        }
    }

    /// What `look` finds, if it is due for `bytes` more and finds less than the reserve.
    fn free_bytes_if_short(
        &self,
        bytes: u64,
        now: Instant,
        look: impl FnOnce() -> Result<u64, StorageError>,
    ) -> Result<Option<u64>, StorageError> {
        // Held while looking: whoever comes meanwhile wants the answer. A panic cannot leave half of it.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_mut()
            && now.saturating_duration_since(last.at) < UNSEEN_TIME
            && last.bytes_since.saturating_add(bytes) <= self.bytes / UNSEEN_SHARE
        {
            last.bytes_since += bytes;
            return Ok(None);
        }
        // Nothing is known if the look fails.
        *last = None;
        let bytes_free = look()?;
        if bytes_free < self.bytes {
            return Ok(Some(bytes_free));
        }
        *last = Some(Look { at: now, bytes_since: bytes });
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 1600;
    const SHARE: u64 = RESERVE / UNSEEN_SHARE;

    /// Whether a batch of `bytes` at `now` looked, and whether it was refused, on a disk with `free` bytes.
    fn attempt(reserve: &Reserve, bytes: u64, now: Instant, free: u64) -> (bool, bool) {
        let mut looked = false;
        let short = reserve.free_bytes_if_short(bytes, now, || {
            looked = true;
            Ok(free)
        });
        (looked, short.unwrap().is_some())
    }

    #[test]
    fn looks_after_a_share_of_the_reserve_or_a_moment() {
        let (reserve, start) = (Reserve::new(RESERVE), Instant::now());
        assert_eq!(attempt(&reserve, SHARE / 2, start, RESERVE), (true, false), "the first");
        assert_eq!(attempt(&reserve, SHARE / 2, start, 0), (false, false), "the share is not exceeded");
        assert_eq!(attempt(&reserve, 1, start, RESERVE), (true, false), "now it is");
        assert_eq!(attempt(&reserve, 1, start + UNSEEN_TIME / 2, 0), (false, false), "at once");
        assert_eq!(attempt(&reserve, 1, start + UNSEEN_TIME, RESERVE), (true, false), "later");
        assert_eq!(attempt(&reserve, SHARE + 1, start + UNSEEN_TIME, 0), (true, true), "a large one looks for itself");
    }

    #[test]
    fn looks_for_every_batch_while_the_disk_is_full() {
        let (reserve, start) = (Reserve::new(RESERVE), Instant::now());
        for _ in 0..3 {
            assert_eq!(attempt(&reserve, 1, start, RESERVE - 1), (true, true));
        }
        assert_eq!(attempt(&reserve, 1, start, RESERVE), (true, false), "resumes by itself");
        assert_eq!(attempt(&reserve, 1, start, RESERVE), (false, false));
    }

    #[test]
    fn a_look_that_fails_is_not_remembered_as_space() {
        let (reserve, start) = (Reserve::new(RESERVE), Instant::now());
        assert_eq!(attempt(&reserve, 1, start, RESERVE), (true, false));
        let failing = || Err(StorageError::Closed);
        assert!(reserve.free_bytes_if_short(1, start + UNSEEN_TIME, failing).is_err());
        assert_eq!(attempt(&reserve, 1, start, 0), (true, true));
    }
}
