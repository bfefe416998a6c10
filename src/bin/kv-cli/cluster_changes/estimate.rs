//! How many bytes a partition has, about.

use kv::client::ClientError;
use kv::core::ring::{Member, Ring};
use kv::wire::report::{Inspection, StatusReport};

use crate::ring::shares;

/// The mean over all copies of partitions of nodes that answered: keys are spread evenly, so that no partition is much larger
/// than another. A node that holds nothing of its own does not count.
pub fn partition_bytes(ring: &Ring, answers: &[(Member, Result<Inspection, ClientError>)]) -> Option<u64> {
    let shares = shares(ring);
    let owning = answers.iter().filter_map(|(member, answer)| match answer {
        Ok(Inspection::Status(StatusReport { disk_bytes, .. })) => {
            let (owned, _) = shares.get(&member.node).copied()?;
            Some((*disk_bytes, u64::from(owned)))
        }
        _ => None,
    });
    mean(owning)
}

fn mean(nodes: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
    let (bytes, copies) =
        nodes.filter(|(_, owned)| *owned > 0).fold((0u64, 0), |(bytes, copies), (b, c)| (bytes + b, copies + c));
    bytes.checked_div(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_nothing_does_not_count() {
        assert_eq!(mean([(6_400, 64), (1_600, 32), (9_999, 0)].into_iter()), Some(83));
        assert_eq!(mean([(9_999, 0)].into_iter()), None);
    }
}
