//! One run at a time, each from the same beginning.
//!
//! A runtime that is dropped, as that of a host that crashes, drops its tasks by their numbers, and in that order they close their
//! connections. Tasks are numbered through the whole process, so a run must not share its numbers with another one, and must
//! begin with a number that leads to the same order.

use std::sync::{Mutex, MutexGuard};

use tokio::runtime::Builder;

use crate::lock::lock;

/// A multiple of the number of lists that tokio spreads the tasks of a runtime over.
const LISTS: u64 = 64;

/// Held during a run.
pub fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    let alone = lock(&RUNNING);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let number = || runtime.spawn(async {}).id().to_string().parse::<u64>().expect("a number");
    while !number().is_multiple_of(LISTS) {}
    alone
}
