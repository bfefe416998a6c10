//! Who is on a link now: a second process on a copy of a store shows up beside the first.
//!
//! Only links for data count: they carry heartbeats, so a dead one is noticed within seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::id::{Start, StoreId};
use crate::wire::handshake::Refusal;

/// The stores whose links are open, each with the start that opened them.
#[derive(Clone, Default)]
pub struct Callers(Arc<Mutex<BTreeMap<StoreId, Caller>>>);

struct Caller {
    start: Start,
    from: String,
    links: usize,
}

/// Stands for one open link; dropped with it.
pub struct Present {
    callers: Callers,
    store: StoreId,
}

impl Callers {
    /// Whether nobody else is here with the store of `start`.
    ///
    /// # Errors
    /// [`Refusal::Cloned`] while a link of another start of the same store is open. After a crash that may be so until the
    /// old link is noticed to be dead, so the caller tries again for a while before it believes it.
    pub fn check(&self, start: Start) -> Result<(), Refusal> {
        match self.lock().get(&start.store) {
            Some(caller) if caller.start != start => {
                Err(Refusal::Cloned { store: start.store, address: caller.from.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Notes a link that `start` opens from an address.
    ///
    /// # Errors
    /// As [`Callers::check`].
    pub fn enter(&self, start: Start, from: &str) -> Result<Present, Refusal> {
        self.check(start)?;
        let mut callers = self.lock();
        let caller = callers.entry(start.store).or_insert_with(|| Caller { start, from: from.to_owned(), links: 0 });
        caller.links += 1;
        Ok(Present { callers: self.clone(), store: start.store })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut callers = self.callers.lock();
        if let Some(caller) = callers.get_mut(&self.store) {
            caller.links -= 1;
            if caller.links == 0 {
                callers.remove(&self.store);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(number: u64, nonce: u64) -> Start {
        Start { store: StoreId(1), number, nonce }
    }

    #[test]
    fn a_copy_is_told_while_the_original_is_there() {
        let callers = Callers::default();
        let (first, second) = (callers.enter(start(5, 1), "a:1").unwrap(), callers.enter(start(5, 1), "a:1").unwrap());
        let cloned = || Refusal::Cloned { store: StoreId(1), address: "a:1".into() };
        assert_eq!(callers.enter(start(6, 2), "b:1").err(), Some(cloned()));
        assert_eq!(callers.enter(start(5, 2), "b:1").err(), Some(cloned()));
        drop(first);
        assert_eq!(callers.enter(start(6, 2), "b:1").err(), Some(cloned()));
        drop(second);
        assert!(callers.enter(start(6, 2), "b:1").is_ok());
    }
}
