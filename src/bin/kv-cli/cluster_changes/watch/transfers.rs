//! What the nodes copy and hand over at the moment, as each says itself.

use std::collections::BTreeMap;
use std::time::Duration;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::{Inspect, Inspection, TransferPhase, TransferReport, TransfersReport};
use tokio::time::timeout;

use crate::table::{bytes, uptime};

/// A node that takes longer is shown without: the next look is not held up.
const WITHIN: Duration = Duration::from_secs(1);

/// By node; who does not answer in time is left out.
pub type Transfers = BTreeMap<NodeId, TransfersReport>;

/// Asks these nodes at once.
pub async fn ask(client: &Client, nodes: impl IntoIterator<Item = NodeId>) -> Transfers {
    let asking: Vec<_> = nodes
        .into_iter()
        .map(|node| {
            let client = client.clone();
            tokio::spawn(async move { (node, timeout(WITHIN, client.inspect(node, Inspect::Transfers)).await) })
        })
        .collect();
    let mut transfers = Transfers::new();
    for asked in asking {
        if let Ok((node, Ok(Ok(Inspection::Transfers(report))))) = asked.await {
            transfers.insert(node, *report);
        }
    }
    transfers
}

/// How fast a node copies, and how long it takes for what it copies now: `2 partitions at 12.0 MiB/s, 8s left`. `None` if it copies
/// nothing.
pub fn speed(report: &TransfersReport) -> Option<String> {
    let is_copied = |transfer: &&TransferReport| {
        transfer.waiting.is_none() && matches!(transfer.phase, TransferPhase::Copying | TransferPhase::Comparing)
    };
    let copied: Vec<_> = report.arriving.iter().filter(is_copied).collect();
    if copied.is_empty() {
        return None;
    }
    let sum = |of: fn(&TransferReport) -> u64| copied.iter().map(|transfer| of(transfer)).sum::<u64>();
    let rate = sum(|transfer| transfer.bytes_per_s);
    let missing = sum(|transfer| transfer.bytes_expected.saturating_sub(transfer.bytes));
    let left = missing.checked_div(rate).map(|seconds| format!(", {} left", uptime(seconds)));
    let partitions = if copied.len() == 1 { "partition" } else { "partitions" };
    let rate = bytes(rate);
    Some(format!("{} {partitions} at {rate}/s{}", copied.len(), left.unwrap_or_default()))
}

/// Why what it does not copy or hand over waits, as the node says; one line for each reason.
pub fn reasons(node: NodeId, report: &TransfersReport) -> Vec<String> {
    let mut reasons: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let arriving = report.arriving.iter().filter_map(|transfer| Some(("copied to", transfer.waiting.as_deref()?)));
    let draining = report.draining.iter().filter_map(|drain| Some(("handed over by", drain.waiting.as_deref()?)));
    for reason in arriving.chain(draining) {
        *reasons.entry(reason).or_default() += 1;
    }
    let told = reasons.into_iter().map(|((what, why), partitions)| match partitions {
        1 => format!("1 partition {what} node {node} waits: {why}"),
        _ => format!("{partitions} partitions {what} node {node} wait: {why}"),
    });
    let unreadable: u64 = report.arriving.iter().map(|transfer| transfer.unreadable).sum();
    let damage = (unreadable > 0).then(|| {
        format!("{unreadable} keys copied to node {node} are damaged: no owner has a record of them that can be read")
    });
    told.chain(damage).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use kv::core::id::Partition;
    use kv::wire::report::DrainReport;

    fn transfer(phase: TransferPhase, waiting: Option<&str>) -> TransferReport {
        TransferReport {
            partition: Partition(7),
            from: Some(NodeId(1)),
            phase,
            keys: 10,
            keys_expected: 30,
            bytes: 10 << 20,
            bytes_before: 0,
            bytes_expected: 30 << 20,
            bytes_per_s: 2 << 20,
            unreadable: 0,
            waiting: waiting.map(Into::into),
        }
    }

    /// Two partitions are copied, one waits.
    pub fn copying() -> TransfersReport {
        let arriving = vec![
            transfer(TransferPhase::Copying, None),
            transfer(TransferPhase::Comparing, None),
            transfer(TransferPhase::Waiting, Some("node 2 has not acknowledged ring 0.7")),
        ];
        TransfersReport { arriving, draining: vec![] }
    }

    #[test]
    fn what_is_copied_has_a_speed() {
        assert_eq!(speed(&copying()).unwrap(), "2 partitions at 4.0 MiB/s, 10s left");
        let arrived = TransfersReport { arriving: vec![transfer(TransferPhase::Arrived, None)], draining: vec![] };
        assert_eq!(speed(&arrived), None);
    }

    #[test]
    fn what_waits_says_why() {
        let drain = |why: &str| DrainReport {
            partition: Partition(1),
            keys: 1,
            dropped: 0,
            sent: 0,
            hinted: 0,
            waiting: Some(why.into()),
        };
        let mut report = copying();
        report.draining = vec![drain("node 3 is down"), drain("node 3 is down")];
        report.arriving[0].unreadable = 2;
        assert_eq!(
            reasons(NodeId(4), &report),
            [
                "1 partition copied to node 4 waits: node 2 has not acknowledged ring 0.7",
                "2 partitions handed over by node 4 wait: node 3 is down",
                "2 keys copied to node 4 are damaged: no owner has a record of them that can be read",
            ]
        );
    }
}
