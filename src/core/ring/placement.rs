//! Which members own a partition.

use super::Member;

/// For each partition the owners in the order of their places, as indices into `members` (sorted by store).
pub(super) fn place(partitions: u32, replication: u8, members: &[Member]) -> Vec<Vec<u16>> {
    (0..partitions)
        .map(|p| {
            (0..members.len() as u16)
                .cycle()
                .skip(p as usize % members.len())
                .take(members.len().min(replication as usize))
                .collect()
        })
        .collect()
}
