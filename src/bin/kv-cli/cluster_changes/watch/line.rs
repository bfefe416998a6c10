//! A look in one line.

use kv::wire::change::StoreProgress;

use super::look::Look;
use super::transfers::speed;
use crate::cluster_changes::brief;
use crate::table::uptime;

/// All of it.
pub fn line(look: &Look) -> String {
    let stores = look.change.stores.iter().map(|store| of_store(store, look)).filter(|told| !told.is_empty());
    let left = look.left.map(|left| format!("about {} left", uptime(left.as_secs())));
    let parts = [brief::told(&look.change)].into_iter().chain(stores).chain(left).chain(look.waits.iter().cloned());
    parts.collect::<Vec<_>>().join("; ")
}

/// What has come to a node and gone from it: `node 4 has 10 of 16`.
fn of_store(store: &StoreProgress, look: &Look) -> String {
    let StoreProgress { node, arrived, drained, .. } = store;
    let down = if store.is_live { "" } else { " (down)" };
    let parts = [(arrived, "has"), (drained, "gave up")].into_iter().filter(|((_, all), _)| *all > 0);
    let parts: Vec<String> = parts.map(|((done, all), verb)| format!("{verb} {done} of {all}")).collect();
    let speed = look.transfers.get(node).and_then(speed).map(|speed| format!(", copies {speed}"));
    match &parts[..] {
        [] => String::new(),
        parts => format!("node {node}{down} {}{}", parts.join(" and "), speed.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::half;
    use super::super::transfers::Transfers;
    use super::*;

    #[test]
    fn all_is_said_in_a_line() {
        let expected = "change 3 (node 4 joins): 8 of 16 partitions done, 4 pending, 2 draining, 2 to do; \
                        node 1 gave up 8 of 16; node 4 has 10 of 16, copies 2 partitions at 4.0 MiB/s, 10s left; about 1m 15s left; \
                        partition 7 waits for node 4 to hold a whole copy";
        assert_eq!(line(&half()), expected);
        let mut look = half();
        look.change.stores[1].is_live = false;
        (look.left, look.waits, look.transfers) = (None, vec![], Transfers::new());
        assert!(line(&look).ends_with("node 4 (down) has 10 of 16"), "{}", line(&look));
    }
}
