//! Members and rings for the tests of this folder.

use super::{Member, Ring};
use crate::core::id::{Epoch, NodeId, StoreId};

/// A member whose node has the number of its store.
pub fn member(store: u128, zone: &str, weight: u32) -> Member {
    let node = NodeId(store as u32);
    Member { store: StoreId(store), node, address: format!("node{node}:8000"), zone: zone.into(), weight }
}

/// A ring over these members.
pub fn ring(partitions: u32, replication: u8, members: &[Member]) -> Ring {
    Ring::new(Epoch::default(), partitions, replication, members.to_vec()).expect("a valid ring")
}
