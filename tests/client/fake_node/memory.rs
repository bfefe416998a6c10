//! One memory for all fake nodes, with siblings: a context is the list of the writes it covers, one byte each.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::core::bucket::BlindWrite;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::core::request::{Answer, Operation, Value};
use kv::wire::list::{ListPage, ListRequest, Listed};

#[derive(Default)]
pub struct Memory {
    writes: u8,
    keys: BTreeMap<Key, BTreeMap<u8, Value>>,
}

impl Memory {
    /// A page, as of a cluster with one partition.
    pub fn list(&self, request: ListRequest) -> ListPage {
        let ListRequest { bucket, prefix, cursor, keys_max, values: with_values } = request;
        let is_wanted = |key: &Key, values: &BTreeMap<u8, Value>| {
            let after = cursor.as_ref().is_none_or(|cursor| key.name > *cursor);
            after && key.bucket == bucket && key.name.starts_with(&prefix) && !values.is_empty()
        };
        let mut rest = self.keys.iter().filter(|(key, values)| is_wanted(key, values));
        let listed = |(key, values): (&Key, &BTreeMap<u8, Value>)| Listed {
            name: key.name.clone(),
            values: values.values().rev().filter(|_| with_values).cloned().collect(),
            context: with_values.then(|| values.keys().copied().collect()),
        };
        let keys: Vec<Listed> = rest.by_ref().take(keys_max as usize).map(listed).collect();
        let next = keys.last().filter(|_| rest.next().is_some()).map(|last| last.name.clone());
        ListPage { keys, partitions_done: next.is_none().into(), next, partitions: 1 }
    }

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
