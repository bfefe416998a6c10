//! A store that was rolled back has forgotten what it promised. It vouches for nothing from then on, is recognised and set aside, stores
//! nothing after that, and in the end the coordination service says that its node serves another store.

use std::collections::BTreeMap;

use kv::core::id::StoreId;

use super::Finding;
use super::timeline::{Place, Timeline};
use crate::history::{Fault, What};

struct Forgetful {
    since: Place,
    set_aside: Option<Place>,
    is_replaced: bool,
    is_told_of: bool,
}

/// Every store that was rolled back.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut stores: BTreeMap<StoreId, Forgetful> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut find = |store: StoreId, what: &str, events: Vec<Place>| {
        findings.push(Finding { about: format!("{store:?}"), what: what.to_string(), events });
    };
    for (place, event) in timeline.history.events().iter().enumerate() {
        let (store, what) = match &event.what {
            What::Faulted { store, fault: Fault::Rollback } => {
                let forgetful = Forgetful { since: place, set_aside: None, is_replaced: false, is_told_of: false };
                stores.insert(*store, forgetful);
                continue;
            }
            What::StrictCounted { store } => (store, "it relies on its lease after it was rolled back"),
            What::Durable { store, .. } | What::Minted { store, .. } => {
                (store, "it stores something though it was set aside")
            }
            What::SetAside { store } | What::Replaced { store, .. } => (store, ""),
            _ => continue,
        };
        let Some(forgetful) = stores.get_mut(store) else { continue };
        match &event.what {
            What::SetAside { .. } => forgetful.set_aside = Some(place),
            What::Replaced { by, .. } => forgetful.is_replaced = by.is_some(),
            What::StrictCounted { .. } if !forgetful.is_told_of => {
                forgetful.is_told_of = true;
                find(*store, what, vec![forgetful.since, place]);
            }
            What::Durable { .. } | What::Minted { .. } if !forgetful.is_told_of => {
                let Some(set_aside) = forgetful.set_aside else { continue };
                forgetful.is_told_of = true;
                find(*store, what, vec![forgetful.since, set_aside, place]);
            }
            _ => {}
        }
    }
    for (store, forgetful) in stores {
        if forgetful.set_aside.is_none() {
            find(store, "it was rolled back, and nobody noticed", vec![forgetful.since]);
        } else if !forgetful.is_replaced {
            find(store, "it was rolled back, and is not registered as replaced", vec![forgetful.since]);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use kv::core::id::StoreId;

    use super::super::sketch::Sketch;
    use crate::history::{Fault, What};

    const NAME: &str = "forgetful stores";
    const STORE: StoreId = StoreId(1 << 96);
    const ROLLED_BACK: What = What::Faulted { store: STORE, fault: Fault::Rollback };
    const COUNTED: What = What::StrictCounted { store: STORE };
    const SET_ASIDE: What = What::SetAside { store: STORE };
    const REPLACED: What = What::Replaced { store: STORE, by: Some(StoreId(2)) };

    fn told(events: &[What]) -> Vec<String> {
        let mut sketch = Sketch::new();
        events.iter().for_each(|event| sketch.record(event.clone()));
        sketch.findings(NAME)
    }

    #[test]
    fn a_store_that_is_recognised_and_replaced_passes() {
        assert!(told(&[COUNTED, ROLLED_BACK, SET_ASIDE, REPLACED]).is_empty());
        assert!(told(&[What::Faulted { store: STORE, fault: Fault::Crash }, COUNTED]).is_empty());
    }

    #[test]
    fn it_vouches_for_nothing() {
        let expected = ["it relies on its lease after it was rolled back"];
        assert_eq!(told(&[ROLLED_BACK, COUNTED, COUNTED, SET_ASIDE, REPLACED]), expected);
        let minted = || What::Minted {
            store: STORE,
            key: kv::core::key::Key::bare("k"),
            dot: "a:1".into(),
            write: crate::history::WriteId(1),
        };
        assert!(told(&[ROLLED_BACK, minted(), SET_ASIDE, REPLACED]).is_empty());
        assert_eq!(
            told(&[ROLLED_BACK, SET_ASIDE, minted(), REPLACED]),
            ["it stores something though it was set aside"]
        );
    }

    #[test]
    fn it_must_be_noticed_and_replaced() {
        assert_eq!(told(&[ROLLED_BACK]), ["it was rolled back, and nobody noticed"]);
        let expected = ["it was rolled back, and is not registered as replaced"];
        assert_eq!(told(&[ROLLED_BACK, SET_ASIDE]), expected);
        assert_eq!(told(&[ROLLED_BACK, SET_ASIDE, What::Replaced { store: STORE, by: None }]), expected);
    }
}
