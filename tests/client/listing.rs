//! Going through a bucket: the place is the client's, so any node can go on.

use bytes::Bytes;
use kv::client::{BlindWrite, ClientError, Context, Put};

use crate::client;
use crate::fake_node::FakeCluster;

#[tokio::test]
async fn a_listing_goes_on_with_another_node() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    client.multi_put((0..9).map(|i| Put::new(format!("k{i}"), "v"))).await;
    client.put("elsewhere", "v").bucket("other").await.unwrap();
    let mut listing = client.keys("default").page_size(3);
    let mut listed: Vec<Bytes> = vec![];
    for node in &cluster.nodes[..2] {
        listed.extend(listing.next_page().await.unwrap().unwrap().items);
        node.stop();
    }
    listed.extend(listing.next_page().await.unwrap().unwrap().items);
    assert_eq!(listing.next_page().await.unwrap(), None);
    assert_eq!(listing.next_page().await.unwrap(), None, "the end stays the end");
    assert_eq!(listed, (0..9).map(|i| format!("k{i}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_error_is_not_taken_for_the_end() {
    let cluster = FakeCluster::start(1, 1).await;
    let client = client(&cluster).await;
    client.multi_put([("a", "1"), ("b", "2")]).await;
    let mut listing = client.keys("default").page_size(1);
    assert_eq!(listing.next_page().await.unwrap().unwrap().items, ["a"]);
    cluster.nodes[0].stop();
    for _ in 0..2 {
        let error = listing.next_page().await.unwrap_err();
        assert!(matches!(error, ClientError::Connect { .. }) && error.retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn entries_have_all_siblings_and_the_context_that_covers_them() {
    let cluster = FakeCluster::start(1, 1).await;
    let client = client(&cluster).await;
    for value in ["apples", "pears"] {
        client.put("cart", value).bucket("carts").blind(BlindWrite::Sibling).await.unwrap();
    }
    client.put("other", "x").bucket("carts").await.unwrap();
    let page = client.entries("carts").prefix("ca").next_page().await.unwrap().unwrap();
    let [entry] = &page.items[..] else { panic!("{page:?}") };
    let values: Vec<&[u8]> = entry.values.iter().map(|value| &value.bytes[..]).collect();
    assert_eq!((&entry.key[..], values), (&b"cart"[..], vec![&b"pears"[..], b"apples"]));
    assert_eq!(entry.context, Some(Context::from_bytes(vec![1, 2])));
    client.put(&entry.key, "both").bucket("carts").context(&entry.context).await.unwrap();
    assert_eq!(client.get("cart").bucket("carts").await.unwrap().values.len(), 1);
}
