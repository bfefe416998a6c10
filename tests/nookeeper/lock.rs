//! Locks of tests: what a panicking thread left is looked at all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The content of a mutex, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
