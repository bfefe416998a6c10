//! What the partitions of a change wait for, in words.

use std::collections::BTreeMap;

use kv::core::id::{Partition, StoreId};
use kv::core::ring::change::Waits;
use kv::wire::change::WaitingReport;

use super::names::Names;

/// Partitions that are named before the rest is counted.
const NAMED_MAX: usize = 4;

/// One line for each thing that is waited for, those that most partitions wait for first.
pub fn lines(waiting: &[WaitingReport], left_off: u32, names: &Names) -> Vec<String> {
    let mut reasons: BTreeMap<String, Vec<Partition>> = BTreeMap::new();
    for WaitingReport { partition, waits, .. } in waiting {
        reasons.entry(in_words(waits, names)).or_default().push(*partition);
    }
    let mut reasons: Vec<(String, Vec<Partition>)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, partitions)| std::cmp::Reverse(partitions.len()));
    let mut lines: Vec<String> =
        reasons.iter().map(|(reason, partitions)| format!("{} {reason}", subject(partitions))).collect();
    if left_off > 0 {
        lines.push(format!("{left_off} more partitions wait as well"));
    }
    lines
}

/// The partitions that wait, with the verb.
fn subject(partitions: &[Partition]) -> String {
    let named: Vec<String> = partitions.iter().take(NAMED_MAX).map(Partition::to_string).collect();
    let named = named.join(", ");
    match partitions.len() {
        1 => format!("partition {named} waits"),
        count if count > NAMED_MAX => format!("{count} partitions ({named}, ...) wait"),
        count => format!("{count} partitions ({named}) wait"),
    }
}

/// What is waited for, behind the word *waits*.
fn in_words(waits: &Waits, names: &Names) -> String {
    match waits {
        Waits::Due => "for nothing: the next step is about to be written".into(),
        Waits::Turn => "until others have moved".into(),
        Waits::Acknowledgement { of, since } => {
            format!("for {} to work with ring {since}", names.names(of.iter().copied()))
        }
        Waits::Transfer { to } => with_dead(to, "to hold a whole copy", "start it, or turn the change back", names),
        Waits::Drain { of } => {
            with_dead(of, "to hand over and drop what it holds", "start it, or remove it if it is lost", names)
        }
        Waits::ArrivalDrains { store } => {
            format!("until {} has dropped what it held of it before", names.name(*store))
        }
        Waits::NotAMember { store } => {
            format!("for {}, which is no member any more: turn the change back", names.name(*store))
        }
    }
}

/// Stores that have something to do, and what helps where their nodes are down.
fn with_dead(stores: &[(StoreId, bool)], task: &str, remedy: &str, names: &Names) -> String {
    let of = |is_live: bool| stores.iter().filter(move |(_, live)| *live == is_live).map(|(store, _)| *store);
    let mut parts = vec![];
    if of(true).next().is_some() {
        parts.push(format!("for {} {task}", names.names(of(true))));
    }
    if of(false).next().is_some() {
        parts.push(format!("for {}, down, {task}: {remedy}", names.names(of(false))));
    }
    parts.join(", and ")
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::names;
    use super::*;
    use kv::core::id::Epoch;

    fn words(waits: Waits) -> String {
        in_words(&waits, &names(&[1, 2, 4]))
    }

    #[test]
    fn each_reason_has_words() {
        let store = StoreId(4);
        let since = Epoch { generation: 0, counter: 7 };
        let of = vec![StoreId(1), StoreId(2)];
        assert_eq!(words(Waits::Acknowledgement { of, since }), "for node 1 and node 2 to work with ring 0.7");
        assert_eq!(words(Waits::Transfer { to: vec![(store, true)] }), "for node 4 to hold a whole copy");
        let both = vec![(StoreId(1), true), (store, false)];
        let expected = "for node 1 to hand over and drop what it holds, and for node 4, down, to hand over and drop what it \
                        holds: start it, or remove it if it is lost";
        assert_eq!(words(Waits::Drain { of: both }), expected);
        assert_eq!(words(Waits::ArrivalDrains { store }), "until node 4 has dropped what it held of it before");
        let gone = words(Waits::NotAMember { store: StoreId(9 << 96) });
        assert_eq!(gone, "for store 00000009, which is no member any more: turn the change back");
        assert!(words(Waits::Due).contains("about to be written") && words(Waits::Turn).contains("others"));
    }

    #[test]
    fn partitions_that_wait_for_the_same_are_told_together() {
        let waiting = |partition, to| WaitingReport {
            partition: Partition(partition),
            since: Epoch::default(),
            waits: Waits::Transfer { to: vec![(StoreId(to), true)] },
        };
        let waiting = [waiting(1, 2), waiting(3, 4), waiting(5, 4), waiting(6, 4), waiting(7, 4), waiting(8, 4)];
        let told = lines(&waiting, 2, &names(&[2, 4]));
        assert_eq!(
            told,
            [
                "5 partitions (3, 5, 6, 7, ...) wait for node 4 to hold a whole copy",
                "partition 1 waits for node 2 to hold a whole copy",
                "2 more partitions wait as well",
            ]
        );
    }
}
