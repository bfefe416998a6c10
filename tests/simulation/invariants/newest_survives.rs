//! In a bucket where the newest wins, a final read has at most one value, and no acknowledged write is surely newer.
//!
//! Surely newer is a write that surely covered the survivor (its clock exceeds all that its context covers), or that
//! began, by more than the clocks may differ, after the survivor was answered. Where nothing is read the survivor must
//! be a delete.

use super::Finding;
use super::timeline::{Operation, Timeline};
use crate::history::Micros;

/// Every final read of a `lww` bucket against every acknowledged write.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    let final_reads = timeline.operations.iter().filter(|o| timeline.history.is_lww(o.key));
    for read in final_reads.filter(|o| o.read().is_some() && timeline.is_final(o)) {
        let Some((_, values)) = read.read() else { continue };
        if values.len() > 1 {
            let what = format!("{} has {} values, where the newest wins", read.id, values.len());
            findings.push(Finding { about: read.key.to_string(), what, events: read.places().collect() });
            continue;
        }
        let deletes = timeline.writes(read.key).map(|(_, o)| o).filter(|o| o.is_delete() && o.possible());
        let survivors: Vec<&Operation> = match values {
            [] => deletes.collect(),
            values => values.iter().filter_map(|value| timeline.write(*value)).collect(),
        };
        for (write, acknowledged) in timeline.writes(read.key).filter(|(_, o)| o.acknowledged().is_some()) {
            if survivors.iter().all(|survivor| surely_newer(timeline, acknowledged, survivor)) {
                let what = format!("{write} was acknowledged and is surely newer than what {} has", read.id);
                let events = acknowledged.places().chain(read.places());
                let events = events.chain(survivors.iter().flat_map(|survivor| survivor.places())).collect();
                findings.push(Finding { about: read.key.to_string(), what, events });
            }
        }
    }
    findings
}

fn surely_newer(timeline: &Timeline, newer: &Operation, older: &Operation) -> bool {
    let at = |place: usize| -> Micros { timeline.history.events()[place].at };
    let began_later = older
        .acknowledged()
        .is_some_and(|answered| at(newer.invoked) > at(answered).saturating_add(timeline.history.clock_skew_max));
    let covered = match (newer.write(), older.write()) {
        (Some(newer), Some(older)) => timeline.causality.surely_covered_by(newer).contains(&older),
        _ => false,
    };
    newer.id != older.id && (began_later || covered)
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use crate::history::Covering::{Answer, Nothing};

    const NAME: &str = "newest survives";

    fn sketch(skew: u64) -> Sketch {
        let mut sketch = Sketch::new();
        sketch.history.declare_lww("default");
        sketch.history.clock_skew_max = skew;
        sketch
    }

    fn two_puts_then_read(skew: u64, values: &[u64]) -> Vec<String> {
        let mut sketch = sketch(skew);
        sketch.put(1, Nothing);
        sketch.put(2, Nothing);
        sketch.settle();
        sketch.get(values);
        sketch.findings(NAME)
    }

    #[test]
    fn the_newest_passes() {
        assert!(two_puts_then_read(0, &[2]).is_empty());
        assert!(two_puts_then_read(10, &[1]).is_empty(), "clocks that differ may turn the order round");
    }

    #[test]
    fn an_older_one_must_not_win() {
        assert_eq!(two_puts_then_read(0, &[1]), ["w2 was acknowledged and is surely newer than what #2 has"]);
    }

    #[test]
    fn one_value_is_left() {
        assert_eq!(two_puts_then_read(10, &[1, 2]), ["#2 has 2 values, where the newest wins"]);
        assert_eq!(two_puts_then_read(10, &[]).len(), 2, "nothing was deleted, so nothing may be gone");
    }

    #[test]
    fn a_context_outweighs_the_clocks() {
        let mut sketch = sketch(10);
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.put(2, Answer(seen));
        sketch.settle();
        sketch.get(&[1]);
        assert_eq!(sketch.findings(NAME), ["w2 was acknowledged and is surely newer than what #3 has"]);
    }

    #[test]
    fn a_delete_may_survive() {
        let mut sketch = sketch(0);
        sketch.put(1, Nothing);
        let delete = sketch.begin_delete(2, Nothing);
        sketch.unknown(delete);
        sketch.settle();
        sketch.get(&[]);
        assert!(sketch.findings(NAME).is_empty());
    }
}
