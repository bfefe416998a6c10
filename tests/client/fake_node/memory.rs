//! One memory for all fake nodes, with siblings: a context is the list of the writes it covers, one byte each.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::core::bucket::BlindWrite;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::core::request::{Answer, Operation, Value};

#[derive(Default)]
pub struct Memory {
    writes: u8,
    keys: BTreeMap<Key, BTreeMap<u8, Value>>,
}

impl Memory {
    /// Does it.
    pub fn apply(&mut self, operation: &Operation, by: NodeId) -> Answer {
        let live = self.keys.entry(operation.key().clone()).or_default();
        let all = |live: &BTreeMap<u8, Value>| Bytes::from_iter(live.keys().copied());
        match operation {
            Operation::Get { .. } => {
                let context = Some(all(live)).filter(|c| !c.is_empty());
                Answer::Read { values: live.values().rev().cloned().collect(), context, replicas: vec![by] }
            }
            Operation::Put { value, context, ttl_ms, blind, .. } => {
                self.writes += 1;
                match (context, blind) {
                    (Some(covered), _) => live.retain(|write, _| !covered.contains(write)),
                    (None, Some(BlindWrite::Sibling)) => {}
                    (None, _) => live.clear(),
                }
                let written_ms = self.writes.into();
                live.insert(self.writes, Value { bytes: value.clone(), written_ms, expires_ms: *ttl_ms });
                Answer::Written { context: all(live), siblings: live.len() as u32, replicas: vec![by] }
            }
            Operation::Delete { context, .. } => {
                self.writes += 1;
                match context {
                    Some(covered) => live.retain(|write, _| !covered.contains(write)),
                    None => live.clear(),
                }
                let context = Bytes::copy_from_slice(&[self.writes]);
                Answer::Written { context, siblings: live.len() as u32, replicas: vec![by] }
            }
        }
    }
}
