//! No value comes from nowhere: what is read was put to that key, before the answer, by a put that did not surely fail;
//! and it is there once. A value that is there twice was stored as two writes, as by a put that was sent again.

use std::collections::BTreeSet;

use super::Finding;
use super::timeline::{Operation, Place, Timeline};
use crate::history::WriteId;

/// Every value of every read.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (read, (answered, values)) in timeline.operations.iter().filter_map(|o| o.read().map(|read| (o, read))) {
        let mut seen = BTreeSet::new();
        for &value in values {
            let origin = timeline.write(value);
            let reason = if seen.insert(value) { why_not(read, answered, origin) } else { Some("is there twice") };
            if let Some(reason) = reason {
                let what = format!("{value} was read, but {reason}");
                let events = read.places().chain(origin.into_iter().flat_map(Operation::places)).collect();
                findings.push(Finding { about: read.key.to_string(), what, events });
            }
        }
    }
    findings
}

fn why_not(read: &Operation, answered: Place, origin: Option<&Operation>) -> Option<&'static str> {
    match origin {
        None => Some("nobody wrote it"),
        Some(origin) if origin.key != read.key => Some("it was written to another key"),
        Some(origin) if !origin.is_put() => Some("it is a delete"),
        Some(origin) if origin.invoked > answered => Some("it was written later"),
        Some(origin) if !origin.possible() => Some("its put failed"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use kv::core::key::Key;

    use super::super::sketch::Sketch;
    use super::*;
    use crate::history::Covering::Nothing;

    const NAME: &str = "phantoms";

    #[test]
    fn acknowledged_unknown_and_unfinished_puts_may_be_read() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let unsure = sketch.begin_put(2, Nothing);
        sketch.unknown(unsure);
        let get = sketch.begin_get();
        sketch.begin_put(3, Nothing);
        sketch.read(get, &[3, 2, 1]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn what_cannot_be_there_is_a_phantom() {
        let mut sketch = Sketch::new();
        let failed = sketch.begin_put(1, Nothing);
        sketch.failed(failed);
        sketch.delete(2, Nothing);
        sketch.key = Key::bare("other");
        sketch.put(3, Nothing);
        sketch.key = Key::bare("k");
        sketch.put(4, Nothing);
        sketch.get(&[1, 2, 3, 4, 4, 5, WriteId::GARBAGE.0]);
        sketch.put(5, Nothing);
        let expected = [
            "w1 was read, but its put failed",
            "w2 was read, but it is a delete",
            "w3 was read, but it was written to another key",
            "w4 was read, but is there twice",
            "w5 was read, but it was written later",
            "garbage was read, but nobody wrote it",
        ];
        assert_eq!(sketch.findings(NAME), expected);
    }
}
