//! No store relies on its lease when the coordination service has ended its session: what it says then may be about a ring that is
//! not the ring any more.
//!
//! A session has ended as soon as one replica of the service has applied that. A store may have opened another one by then.

use std::collections::{BTreeMap, BTreeSet};

use kv::core::id::StoreId;

use super::Finding;
use super::timeline::{Place, Timeline};
use crate::history::What;

#[derive(Default)]
struct Sessions {
    open: BTreeSet<u64>,
    /// Since when there is none.
    lost: Option<Place>,
}

/// Every reliance on a lease; for each gap between two sessions of a store, the first.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut stores: BTreeMap<StoreId, Sessions> = BTreeMap::new();
    let mut findings = Vec::new();
    for (place, event) in timeline.history.events().iter().enumerate() {
        match &event.what {
            What::SessionBegan { store, session } => {
                stores.entry(*store).or_default().open.insert(*session);
            }
            What::SessionEnded { store, session } => {
                let sessions = stores.entry(*store).or_default();
                if sessions.open.remove(session) && sessions.open.is_empty() {
                    sessions.lost = Some(place);
                }
            }
            What::StrictCounted { store } => {
                let sessions = stores.entry(*store).or_default();
                if let Some(lost) = sessions.lost.filter(|_| sessions.open.is_empty()) {
                    sessions.lost = None;
                    let what = "it relies on its lease without a session".to_string();
                    findings.push(Finding { about: format!("{store:?}"), what, events: vec![lost, place] });
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use kv::core::id::StoreId;

    use super::super::sketch::Sketch;
    use crate::history::What;

    const NAME: &str = "stale leases";
    const STORE: StoreId = StoreId(1 << 96);

    fn told(events: &[What]) -> Vec<String> {
        let mut sketch = Sketch::new();
        events.iter().for_each(|event| sketch.record(event.clone()));
        sketch.findings(NAME)
    }

    fn began(session: u64) -> What {
        What::SessionBegan { store: STORE, session }
    }

    fn ended(session: u64) -> What {
        What::SessionEnded { store: STORE, session }
    }

    const COUNTED: What = What::StrictCounted { store: STORE };

    #[test]
    fn a_lease_needs_a_session() {
        assert!(told(&[began(1), COUNTED, ended(1)]).is_empty());
        assert_eq!(told(&[began(1), ended(1), COUNTED, COUNTED]), ["it relies on its lease without a session"]);
    }

    #[test]
    fn an_old_session_may_end_after_a_new_one_began() {
        assert!(told(&[began(1), began(2), ended(1), COUNTED]).is_empty());
        assert!(told(&[began(1), ended(1), began(2), COUNTED]).is_empty());
        assert_eq!(told(&[began(1), began(2), ended(1), ended(2), COUNTED]).len(), 1);
    }

    #[test]
    fn every_gap_is_told_of_and_other_stores_do_not_count() {
        assert_eq!(told(&[began(1), ended(1), COUNTED, began(2), ended(2), COUNTED]).len(), 2);
        assert!(told(&[began(1), ended(1), What::StrictCounted { store: StoreId(2) }]).is_empty());
    }
}
