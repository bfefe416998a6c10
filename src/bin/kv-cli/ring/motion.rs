//! Partitions that are on their way.

use kv::core::id::{NodeId, Partition};
use kv::core::ring::{Motion, Ring, Slice};
use serde_json::{Value, json};

use crate::table::list;

/// How many partitions are how far, in a line; `None` if all are at rest and nothing drains.
pub fn in_brief(ring: &Ring) -> Option<String> {
    let count = |is: fn(&Slice<u16>) -> bool, what: &str| {
        let count = ring.slices().iter().filter(|slice| is(slice)).count();
        (count > 0).then(|| format!("{count} {what}"))
    };
    let counts = [
        count(|slice| matches!(slice.motion, Some(Motion::Pending(_))), "pending"),
        count(|slice| matches!(slice.motion, Some(Motion::Switched(_))), "switched"),
        count(|slice| !slice.draining.is_empty(), "draining"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    (!counts.is_empty()).then(|| format!("partitions in motion: {}", counts.join(", ")))
}

/// The owners of a partition, and where it is going: `1, 2, 3 -> 1, 4, 3 pending since 0.7; 5 drains`.
pub fn owners(ring: &Ring, partition: Partition) -> String {
    let slice = ring.slices()[partition.0 as usize].clone();
    let nodes = |numbers: &[u16]| list(&named(ring, numbers));
    let (owners, since) = (nodes(&slice.owners), slice.since);
    let draining =
        if slice.draining.is_empty() { String::new() } else { format!("; {} draining", nodes(&slice.draining)) };
    match &slice.motion {
        None => format!("{owners}{draining}"),
        Some(Motion::Pending(others)) => format!("{owners} -> {} pending since {since}{draining}", nodes(others)),
        Some(Motion::Switched(others)) => format!("{owners} <- {} switched since {since}{draining}", nodes(others)),
    }
}

/// The partitions that are not at rest, for programs.
pub fn as_json(ring: &Ring) -> Vec<Value> {
    let partitions = ring.slices().iter().enumerate();
    let moving = partitions.filter(|(_, slice)| slice.motion.is_some() || !slice.draining.is_empty());
    let shown = moving.map(|(partition, slice)| {
        let phase = match slice.motion {
            None => "at_rest",
            Some(Motion::Pending(_)) => "pending",
            Some(Motion::Switched(_)) => "switched",
        };
        json!({
            "partition": partition,
            "phase": phase,
            "since": slice.since.to_string(),
            "owners": named(ring, &slice.owners),
            "others": named(ring, slice.others()),
            "draining": named(ring, &slice.draining),
        })
    });
    shown.collect()
}

fn named(ring: &Ring, numbers: &[u16]) -> Vec<NodeId> {
    numbers.iter().map(|&number| ring.members()[number as usize].node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::{Epoch, StoreId};
    use kv::core::ring::Member;

    fn ring(slices: [&str; 4]) -> Ring {
        let member = |node: u32| Member {
            store: StoreId(node.into()),
            node: NodeId(node),
            address: String::new(),
            zone: String::new(),
            weight: 1,
        };
        let slices: Vec<Slice<u16>> = slices.iter().map(|slice| slice.parse().unwrap()).collect();
        Ring::of(Epoch { generation: 0, counter: 9 }, 2, (1..=4).map(member).collect(), &slices).unwrap()
    }

    #[test]
    fn each_phase_is_told() {
        let ring = ring(["0,1", "0,1>0,3@0.7", "0,3<0,1@0.8", "0,3-1@0.9"]);
        assert_eq!(in_brief(&ring).unwrap(), "partitions in motion: 1 pending, 1 switched, 1 draining");
        let told: Vec<_> = (0..4).map(|p| owners(&ring, Partition(p))).collect();
        let expected =
            ["1, 2", "1, 2 -> 1, 4 pending since 0.7", "1, 4 <- 1, 2 switched since 0.8", "1, 4; 2 draining"];
        assert_eq!(told, expected);
        let moving = as_json(&ring);
        assert_eq!((moving.len(), &moving[0]["others"], &moving[2]["draining"]), (3, &json!([1, 4]), &json!([2])));
    }

    #[test]
    fn a_ring_at_rest_says_nothing() {
        assert_eq!(in_brief(&ring(["0,1"; 4])), None);
    }
}
