//! What contexts covered, as far as a history tells.
//!
//! A context is opaque, and a client sees only the values that came with it. But objects travel whole, so whatever a
//! context covers beyond those values was covered by a write that is itself covered, and so on, until the chain ends in
//! a value that was returned or in a tombstone, which is not shown. That gives two bounds for the context of an answer:
//!
//! - *Surely covered*: the values returned, and what the contexts of their writes surely covered.
//! - *May be covered*: the values returned and every delete of the key that was invoked before the answer and did not
//!   fail, and what the contexts of all these may have covered. A write over what is held may have covered every write
//!   of the key that was invoked before it was answered, and surely none.
//!
//! The context of an acknowledged write covers the write and what it covered.
//!
//! All is known when an answer comes: what it may cover was invoked earlier. So one walk through the history is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kv::core::key::Key;

use super::timeline::{Operation, Place, Timeline};
use crate::history::{Call, Covering, OperationId, Outcome, What, WriteId};

/// A set of writes, shared by all who read under one context.
pub type Writes = Rc<BTreeSet<WriteId>>;

/// What every context covered.
#[derive(Default)]
pub struct Causality {
    /// What the context of an answer covered, the values that it came with included.
    surely: BTreeMap<OperationId, Writes>,
    may: BTreeMap<OperationId, Writes>,
    /// The answers whose contexts writes had.
    contexts: BTreeMap<WriteId, OperationId>,
    nothing: Writes,
}

impl Causality {
    /// Walks through the history.
    pub fn new(timeline: &Timeline) -> Causality {
        let mut causality = Causality::default();
        // Writes of each key by invocation: what was invoked before a place is a prefix.
        let mut invoked: BTreeMap<&Key, Vec<&Operation>> = BTreeMap::new();
        for (place, event) in timeline.history.events().iter().enumerate() {
            match &event.what {
                What::Invoked { operation, key, call, .. } if call.covering().is_some() => {
                    invoked.entry(key).or_default().push(&timeline.operations[operation.0]);
                    causality.invoke(call);
                }
                What::Answered { operation, outcome: Outcome::Read(_) | Outcome::Written } => {
                    let operation = &timeline.operations[operation.0];
                    let of_key = invoked.get(operation.key).map_or(&[][..], Vec::as_slice);
                    causality.answer(operation, place, of_key, timeline);
                }
                _ => {}
            }
        }
        causality
    }

    /// What the context of an answer surely covered.
    pub fn surely_cover(&self, answer: OperationId) -> &Writes {
        self.surely.get(&answer).unwrap_or(&self.nothing)
    }

    /// What the context of an answer may have covered.
    pub fn may_cover(&self, answer: OperationId) -> &Writes {
        self.may.get(&answer).unwrap_or(&self.nothing)
    }

    /// What a write surely covered.
    pub fn surely_covered_by(&self, write: WriteId) -> &Writes {
        self.contexts.get(&write).map_or(&self.nothing, |answer| self.surely_cover(*answer))
    }

    fn invoke(&mut self, call: &Call) {
        if let (Some(write), Some(Covering::Answer(answer))) = (call.write(), call.covering()) {
            assert!(self.surely.contains_key(&answer), "{write} has a context of {answer}, which gave none");
            self.contexts.insert(write, answer);
        }
    }

    fn answer(&mut self, answered: &Operation, place: Place, of_key: &[&Operation], timeline: &Timeline) {
        let shown: Vec<WriteId> = match (answered.write(), answered.read()) {
            (Some(write), _) => vec![write],
            (None, Some((_, values))) => values.to_vec(),
            (None, None) => Vec::new(),
        };
        let mut surely: BTreeSet<WriteId> = shown.iter().copied().collect();
        for write in &shown {
            surely.extend(self.surely_covered_by(*write).iter());
        }
        let mut may = BTreeSet::new();
        let tombstones = of_key.iter().filter(|o| answered.write().is_none() && o.is_delete() && o.possible());
        for write in shown.iter().filter_map(|write| timeline.write(*write)).chain(tombstones.copied()) {
            may.extend(write.write());
            match write.call.covering() {
                Some(Covering::Answer(answer)) => may.extend(self.may_cover(answer).iter()),
                Some(Covering::WhatIsHeld) => {
                    // One whose outcome is unknown may be on its way still, and take effect long after its client gave up.
                    let until = write.acknowledged().map_or(place, |answered| answered.min(place));
                    may.extend(of_key.iter().take_while(|o| o.invoked < until).filter_map(|o| o.write()));
                }
                Some(Covering::Nothing) | None => {}
            }
        }
        self.surely.insert(answered.id, Rc::new(surely));
        self.may.insert(answered.id, Rc::new(may));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use crate::history::Covering::{Answer, Nothing, WhatIsHeld};

    fn writes(of: &[u64]) -> BTreeSet<WriteId> {
        of.iter().copied().map(WriteId).collect()
    }

    #[test]
    fn contexts_cover_what_was_read_and_all_below_it() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let first = sketch.get(&[1]);
        sketch.put(2, Answer(first));
        sketch.put(3, Nothing);
        let second = sketch.get(&[2, 3]);
        let third = sketch.put(4, Answer(second));
        let timeline = Timeline::new(&sketch.history);
        assert_eq!(**timeline.causality.surely_cover(second), writes(&[1, 2, 3]));
        assert_eq!(**timeline.causality.may_cover(second), writes(&[1, 2, 3]));
        assert_eq!(**timeline.causality.surely_covered_by(WriteId(4)), writes(&[1, 2, 3]));
        assert_eq!(**timeline.causality.surely_cover(third), writes(&[1, 2, 3, 4]));
    }

    #[test]
    fn a_hidden_tombstone_may_cover() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        let delete = sketch.begin_delete(2, Answer(seen));
        sketch.put(3, Nothing);
        let read = sketch.get(&[3]);
        sketch.unknown(delete);
        let timeline = Timeline::new(&sketch.history);
        assert_eq!(**timeline.causality.surely_cover(read), writes(&[3]));
        assert_eq!(**timeline.causality.may_cover(read), writes(&[1, 2, 3]));
    }

    #[test]
    fn a_write_over_what_is_held_may_cover_what_was_invoked_before_its_answer() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let blind = sketch.begin_put(2, WhatIsHeld);
        sketch.put(3, Nothing);
        let early = sketch.get(&[2, 3]);
        sketch.put(4, Nothing);
        sketch.written(blind);
        sketch.put(5, Nothing);
        let late = sketch.get(&[2]);
        let timeline = Timeline::new(&sketch.history);
        assert_eq!(**timeline.causality.surely_cover(late), writes(&[2]));
        assert_eq!(**timeline.causality.may_cover(early), writes(&[1, 2, 3]));
        assert_eq!(**timeline.causality.may_cover(late), writes(&[1, 2, 3, 4]));
    }
}
