//! Rings written by hand, in place of whoever should drive them.

use kv::client::Client;
use kv::coordination::registry::{Live, RingRecord};
use kv::core::id::{Epoch, NodeId};
use kv::core::ring::Slice;
use kv::wire::tree::{TreeAnswer, TreeRequest};

use crate::wait::until;

async fn read<T: serde::de::DeserializeOwned>(client: &Client, through: u32, path: &str) -> (T, u64) {
    let request = TreeRequest::Get { path: path.into(), sync: true };
    let answer = client.tree_through(NodeId(through), request).await.unwrap();
    let TreeAnswer::Node(node) = answer else { panic!("{answer:?} is no node") };
    (serde_json::from_slice(&node.data).unwrap(), node.stat.version)
}

/// Writes the next ring, with every slice changed so, and waits until these nodes have acknowledged it. Slices name nodes by their
/// numbers, less one.
pub async fn change(client: &Client, nodes: &[u32], each: impl Fn(&mut Slice<u16>)) -> Epoch {
    let (mut ring, version) = read::<RingRecord>(client, nodes[0], "/kv/ring").await;
    assert!(ring.members.iter().map(|member| member.node.0).eq(1..=ring.members.len() as u32));
    ring.epoch = Epoch { counter: ring.epoch.counter + 1, ..ring.epoch };
    for slice in &mut ring.slices {
        let before = slice.clone();
        each(slice);
        if (&slice.owners, &slice.motion) != (&before.owners, &before.motion) {
            slice.since = ring.epoch;
        }
    }
    let data = serde_json::to_vec(&ring).unwrap().into();
    let request = TreeRequest::Set { path: "/kv/ring".into(), data, expected: Some(version) };
    client.tree_through(NodeId(nodes[0]), request).await.unwrap();
    for id in nodes {
        until("the node has acknowledged the ring", async || {
            let (live, _) = read::<Live>(client, nodes[0], &format!("/kv/live/{id}")).await;
            (live.epoch == Some(ring.epoch)).then_some(())
        })
        .await;
    }
    ring.epoch
}
