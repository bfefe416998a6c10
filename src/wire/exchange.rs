//! The exchange: how two stores find what they hold differently of a partition, and get it.
//!
//! 1. Both are asked for their [leaves](crate::core::merkle). Equal leaves: nothing is to be done. A store makes them by reading the
//!    partition once, a little at a time, and keeps them from then on: until they are there it answers how far it is.
//! 2. Both are asked for the versions of the keys in the leaves that differ, page by page.
//! 3. The objects of the keys that differ are asked for by key, and sent on as ordinary
//!    [`Store`](super::message::ToReplica::Store) calls.
//!
//! Owners that most probably hold the same do not begin with all leaves but with the root of the tree over them
//! ([`SumsAnswer`]), 16 bytes, and descend to the leaves that differ.
//!
//! A store that is to get everything pulls all objects in key order first, and then does the same.
//!
//! Keys travel in their [stored form](crate::core::key::Key::stored), in whose order a partition is read: that of the last key
//! looked at is the cursor of a page, and names a place that stays valid whatever is written meanwhile. All that is told is
//! durable. A page is no snapshot: what is written behind its cursor is not in it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::message::Object;
use crate::core::key::Key;
use crate::core::merkle::{Leaves, Sums};
use crate::core::version::Clock;

/// What a store holds of a partition, in leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LeavesAnswer {
    /// All that was durable at one moment.
    Whole {
        /// The leaves of that moment.
        leaves: Leaves,
        /// How many keys there are.
        keys: u64,
        /// Bytes of the keys and their records.
        bytes: u64,
    },
    /// They are being made. Ask again in a while.
    Building {
        /// How many keys are in them already; zero also while others are made first.
        done_keys: u64,
    },
}

/// Sums of some nodes of the tree over a partition's leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SumsAnswer {
    /// Of what was durable at one moment; as many as were asked for.
    Whole(Sums),
    /// The leaves are being made. Ask again in a while.
    Building {
        /// As in [`LeavesAnswer`].
        done_keys: u64,
    },
}

/// Versions of some keys, in key order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClocksPage {
    /// The stored key and the version; `None` for a record that cannot be read.
    pub clocks: Vec<(Bytes, Option<Clock>)>,
    /// Where to go on; `None` at the end. A page may be empty and yet have one.
    pub next: Option<Bytes>,
}

/// Objects of some keys, in key order if a partition was pulled, else in the order asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ObjectsPage {
    /// Each key with its object, encoded. Of a key that was asked for and is not there, there is none.
    pub objects: Vec<(Key, Object)>,
    /// The stored keys of records that cannot be read.
    pub unreadable: Vec<Bytes>,
    /// The stored keys that were asked for and did not fit.
    pub left_over: Vec<Bytes>,
    /// Where to go on pulling; `None` at the end, and if keys were asked for. A page may be empty and yet have one.
    pub next: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::core::id::{Epoch, Partition};
    use crate::core::merkle::leaf_count;
    use crate::wire::frame::{self, FrameLimits, Splitter};
    use crate::wire::message::{ReplicaError, ToCoordinator, ToReplica};

    /// What comes out at the other end of a connection.
    fn sent<T: Serialize + serde::de::DeserializeOwned>(messages: &[T]) -> Vec<T> {
        let (limits, mut bytes) = (FrameLimits::default(), BytesMut::new());
        frame::encode(messages, limits.frame_bytes_max, &mut bytes);
        let message = Splitter::new(limits).next(&mut bytes).expect("a valid frame").expect("a whole one");
        frame::decode(&message).expect("the messages")
    }

    #[test]
    fn questions_arrive_as_they_were_sent() {
        let (epoch, partition, key) = (Epoch { generation: 1, counter: 7 }, Partition(300), Bytes::from_static(b"key"));
        let questions = [
            ToReplica::Leaves { id: 1, epoch, partition },
            ToReplica::Sums { id: 5, epoch, partition, depth: 1, nodes: vec![0, 15] },
            ToReplica::Clocks { id: 2, epoch, partition, leaves: vec![0, 4095], after: Some(key.clone()), limit: 9 },
            ToReplica::Pull { id: 3, epoch, partition, after: None, bytes_max: 1 << 20 },
            ToReplica::Objects { id: 4, epoch, partition, keys: vec![key.clone(), Bytes::new()] },
        ];
        assert_eq!(sent(&questions), questions);
    }

    /// Two owners that hold the same pay for a question and an answer.
    #[test]
    fn the_question_for_a_root_is_small() {
        let (epoch, partition) = (Epoch { generation: u32::MAX, counter: u64::MAX }, Partition(u16::MAX));
        let question = [ToReplica::Sums { id: u64::MAX, epoch, partition, depth: 0, nodes: vec![0] }];
        let answer = [ToCoordinator::Sums { id: u64::MAX, result: Ok(SumsAnswer::Whole(Sums(vec![u128::MAX]))) }];
        let (limits, mut bytes) = (FrameLimits::default(), BytesMut::new());
        frame::encode(&question, limits.frame_bytes_max, &mut bytes);
        frame::encode(&answer, limits.frame_bytes_max, &mut bytes);
        assert!(bytes.len() < 128, "{} bytes", bytes.len());
    }

    #[test]
    fn answers_arrive_as_they_were_sent() {
        let key = Bytes::from_static(b"key");
        let mut leaves = Leaves::new(leaf_count(256));
        leaves.add(&key, Clock(1));
        let clocks = vec![(key.clone(), Some(Clock(u128::MAX))), (key.clone(), None)];
        let page = ObjectsPage {
            objects: vec![(Key::bare("foo"), Object(Bytes::from_static(b"object")))],
            unreadable: vec![key.clone()],
            left_over: vec![key.clone(), key.clone()],
            next: None,
        };
        let answers = [
            ToCoordinator::Leaves { id: 1, result: Ok(LeavesAnswer::Whole { leaves, keys: 1, bytes: 2 }) },
            ToCoordinator::Leaves { id: 2, result: Ok(LeavesAnswer::Building { done_keys: 3 }) },
            ToCoordinator::Sums { id: 6, result: Ok(SumsAnswer::Whole(Sums(vec![u128::MAX, 0]))) },
            ToCoordinator::Sums { id: 7, result: Ok(SumsAnswer::Building { done_keys: 3 }) },
            ToCoordinator::Clocks { id: 3, result: Ok(ClocksPage { clocks, next: Some(key) }) },
            ToCoordinator::Page { id: 4, result: Ok(page) },
            ToCoordinator::Page { id: 5, result: Err(ReplicaError::Late) },
        ];
        assert_eq!(sent(&answers), answers);
    }
}
