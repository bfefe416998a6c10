//! Permits for work in flight: the edge of the node, where too much is refused before it costs anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A number of permits.
#[derive(Debug)]
pub struct Admission {
    limit: u32,
    taken: AtomicU32,
}

/// One call in flight; dropped with its answer.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Admission {
    /// `limit` permits.
    pub fn new(limit: u32) -> Arc<Admission> {
        Arc::new(Admission { limit, taken: AtomicU32::new(0) })
    }

    /// A permit, if one is left.
    pub fn admit(self: &Arc<Self>) -> Option<Permit> {
        // Counting first and looking afterwards needs no loop; the overshoot is taken back at once.
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(self.clone()))
    }

    /// How many are out.
    pub fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let admission = Admission::new(1);
        let permit = admission.admit().unwrap();
        assert!(admission.admit().is_none());
        drop(permit);
        assert!(admission.admit().is_some());
        assert_eq!(admission.taken(), 0);
    }
}
