//! The last known membership as a file, for a start without the service.
//!
//! JSON, as in the tree. The format is read before anything else, so that a newer file is called newer, not damaged.

use serde::{Deserialize, Serialize};

use crate::coordination::Membership;

/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;

/// Why a file holds no membership for this version.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// It is cut short, or something else.
    #[error("the last known ring is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("the last known ring has format {found}, this program reads up to {FORMAT}")]
    Newer {
        /// The format.
        found: u32,
    },
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    format: u32,
    membership: T,
}

/// The content of the file.
///
/// # Errors
/// [`StoredError::Damaged`] if there is no such JSON.
pub fn encode_membership(membership: &Membership) -> Result<Vec<u8>, StoredError> {
    Ok(serde_json::to_vec_pretty(&Stored { format: FORMAT, membership })?)
}

/// What the file holds.
///
/// # Errors
/// See [`StoredError`].
pub fn decode_membership(content: &[u8]) -> Result<Membership, StoredError> {
    let AnyFormat { format } = serde_json::from_slice(content)?;
    if format > FORMAT {
        return Err(StoredError::Newer { found: format });
    }
    Ok(serde_json::from_slice::<Stored<Membership>>(content)?.membership)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::bucket::Bucket;
    use crate::core::id::{Epoch, NodeId, StoreId};
    use crate::core::ring::Member;

    #[test]
    fn what_was_kept_is_read() {
        let (address, zone) = ("node1:8000".to_owned(), "default".to_owned());
        let member = Member { store: StoreId(u128::MAX), node: NodeId(1), address, zone, weight: 100 };
        let membership = Membership {
            epoch: Epoch { generation: 1, counter: 2 },
            partitions: 16,
            replication: 3,
            members: vec![member],
            slices: vec!["0@1.2".parse().unwrap(); 16],
            buckets: BTreeMap::from([("ü".to_owned(), Bucket { n: Some(2), ..Bucket::default() })]).into(),
        };
        let content = encode_membership(&membership).unwrap();
        assert_eq!(decode_membership(&content).unwrap(), membership);
        for cut in 0..content.len() {
            assert!(matches!(decode_membership(&content[..cut]), Err(StoredError::Damaged(_))), "{cut}");
        }
    }

    #[test]
    fn a_newer_file_is_called_newer() {
        let newer = decode_membership(br#"{"format": 2, "ring": "square"}"#);
        assert!(matches!(newer, Err(StoredError::Newer { found: 2 })), "{newer:?}");
    }
}
