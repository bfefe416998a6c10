//! Listings: each live key once, whoever dies meanwhile, or an error that says what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use bytes::Bytes;
use kv::client::{BlindWrite, Client, ClientError, Failure, Get, Put};
use kv::core::id::NodeId;
use kv::core::listing::PAGE_BYTES_MAX;
use serde_json::json;
use tokio::task::JoinSet;

use crate::command_line::Cli;
use crate::load::Load;
use crate::process::{Cluster, Setup};

/// Small keys that are written with one call.
const AT_ONCE: usize = 500;

/// A cluster that is about something else than disks.
async fn quick_cluster() -> Cluster {
    Cluster::start_with(Setup { sync: "never", ..Setup::default() }).await
}

async fn put_all(client: &Client, puts: Vec<Put>, at_once: usize) {
    for chunk in puts.chunks(at_once) {
        for written in client.multi_put(chunk.to_vec()).await {
            written.unwrap();
        }
    }
}

/// So many keys in a bucket, of which every seventh is deleted and every eleventh expires at once; those that stay.
async fn fill(client: &Client, bucket: &str, keys: usize) -> BTreeMap<Bytes, Bytes> {
    let name = |i: usize| Bytes::from(format!("{}-{i}", if i.is_multiple_of(2) { "even" } else { "odd" }));
    let value = |i: usize| Bytes::from(format!("{bucket} {i}"));
    let put = |i: usize| {
        let put = Put::new(name(i), value(i)).bucket(bucket).w(3);
        if i.is_multiple_of(11) { put.ttl(Duration::from_millis(1)) } else { put }
    };
    put_all(client, (0..keys).map(put).collect(), AT_ONCE).await;
    let mut deletes = JoinSet::new();
    for i in (0..keys).step_by(7) {
        let (client, bucket, name) = (client.clone(), bucket.to_string(), name(i));
        deletes.spawn(async move { drop(client.delete(name).bucket(bucket).w(3).await.unwrap()) });
    }
    deletes.join_all().await;
    let stays = |i: &usize| !i.is_multiple_of(7) && !i.is_multiple_of(11);
    (0..keys).filter(stays).map(|i| (name(i), value(i))).collect()
}

/// All keys of a bucket, of which none may come twice.
async fn keys(client: &Client, bucket: &str, prefix: &str, page_size: u32) -> BTreeSet<Bytes> {
    let mut listing = client.keys(bucket).prefix(prefix).page_size(page_size);
    let mut listed = BTreeSet::new();
    while let Some(page) = listing.next_page().await.unwrap() {
        assert!(page.items.len() <= page_size as usize);
        page.items.into_iter().for_each(|key| assert!(listed.insert(key.clone()), "{key:?} came twice"));
    }
    listed
}

fn set(live: &BTreeMap<Bytes, Bytes>) -> BTreeSet<Bytes> {
    live.keys().cloned().collect()
}

#[tokio::test]
async fn each_live_key_comes_once_while_a_node_dies() {
    let mut cluster = quick_cluster().await;
    let client = cluster.client().await;
    let live = fill(&client, "default", 10_000).await;
    let carts = fill(&client, "carts", 10_000).await;
    assert_eq!(keys(&client, "default", "", 1000).await, set(&live));

    let mut listing = client.entries("carts").page_size(100);
    let (mut listed, mut pages) = (BTreeMap::new(), 0);
    while let Some(page) = listing.next_page().await.unwrap() {
        pages += 1;
        if pages == 20 {
            cluster.kill(&[3]);
        }
        for entry in page.items {
            assert_eq!(entry.values.len(), 1);
            assert!(entry.context.is_some());
            let before = listed.insert(entry.key.clone(), entry.values[0].bytes.clone());
            assert_eq!(before, None, "{:?} came twice", entry.key);
        }
        assert!(page.partitions_done <= page.partitions);
    }
    assert!(pages > 40, "the node died too late: {pages} pages");
    assert_eq!(listed, carts);

    // And with the node down from the beginning, in pages of another size.
    assert_eq!(keys(&client, "default", "", 37).await, set(&live));
    let odd = live.keys().filter(|key| key.starts_with(b"odd-")).cloned().collect();
    assert_eq!(keys(&client, "default", "odd-", 1000).await, odd);
    assert_eq!(keys(&client, "no such bucket", "", 1000).await, BTreeSet::new());
    // A bucket is no prefix of another one.
    assert_eq!(keys(&client, "cart", "", 1000).await, BTreeSet::new());
}

#[tokio::test]
async fn without_a_quorum_of_owners_the_gap_is_named_and_the_listing_goes_on_later() {
    let mut cluster = quick_cluster().await;
    let client = cluster.client().await;
    let live = fill(&client, "default", 2000).await;
    let mut listing = client.keys("default");
    let mut listed: Vec<Bytes> = listing.next_page().await.unwrap().unwrap().items;

    cluster.kill(&[2, 3]);
    let error = listing.next_page().await.unwrap_err();
    assert!(error.retryable() && !error.outcome_unknown());
    let ClientError::Failure(Failure::NotCovered { needed: 2, owners: 3, missing, .. }) = &error else {
        panic!("{error:?}")
    };
    let nodes: BTreeSet<NodeId> = missing.iter().map(|(node, _)| *node).collect();
    assert_eq!(nodes, [NodeId(2), NodeId(3)].into());
    let (code, stdout, stderr) = Cli::of(&cluster).run(&["keys"]);
    assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
    assert!(
        stderr
            .contains("partition 0 cannot be listed: 2 of its 3 owners must answer, and there is no answer from node "),
        "{stderr}"
    );

    cluster.run_all().await;
    while let Some(page) = listing.next_page().await.unwrap() {
        listed.extend(page.items);
    }
    assert_eq!(listed.len(), live.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), set(&live));
}

#[tokio::test]
async fn what_was_acknowledged_before_is_listed_under_load() {
    // Synced, so that keys are in flight for long.
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let live = fill(&client, "default", 1000).await;
    let load = Load::start(&client, 8);
    for _ in 0..4 {
        let listed = keys(&client, "default", "", 300).await;
        let missing: Vec<_> = live.keys().filter(|key| !listed.contains(*key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    let done = load.stop().await;
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    let listed = keys(&client, "default", "", 1000).await;
    let missing: Vec<_> = done.acknowledged.keys().filter(|key| !listed.contains(key.as_bytes())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    println!("{} keys were written meanwhile", done.acknowledged.len());
}

#[tokio::test]
async fn a_page_is_bounded_in_keys_and_bytes() {
    const VALUE: usize = 300_000;
    const KEYS: usize = 200;
    let cluster = quick_cluster().await;
    let client = cluster.patient_client().await;
    let large = |i: usize| Put::new(format!("large-{i}"), vec![b'x'; VALUE]).bucket("large").w(3);
    put_all(&client, (0..KEYS).map(large).collect(), 8).await;
    let (mut listing, mut found, mut most) = (client.entries("large"), 0, 0);
    while let Some(page) = listing.next_page().await.unwrap() {
        let bytes: usize = page.items.iter().flat_map(|entry| &entry.values).map(|value| value.bytes.len()).sum();
        most = most.max(bytes);
        found += page.items.len();
    }
    assert_eq!(found, KEYS);
    assert!(most > VALUE && most <= PAGE_BYTES_MAX + VALUE, "{most}");
    assert_eq!(keys(&client, "large", "", 1000).await.len(), KEYS);
}

#[tokio::test]
async fn too_many_listings_at_once_wait_for_each_other() {
    let one = |config: &mut kv::config::Config| config.node.limits.listings_max = 1;
    let cluster = kv::testing::Cluster::builder().configure(one).start().await.unwrap();
    let client = cluster.client().await.unwrap();
    put_all(&client, (0..300).map(|i| Put::new(format!("key-{i}"), "v")).collect(), AT_ONCE).await;
    let mut listings = JoinSet::new();
    for _ in 0..4 {
        let client = client.clone();
        listings.spawn(async move { keys(&client, "default", "", 100).await.len() });
    }
    assert_eq!(listings.join_all().await, [300; 4]);
}

/// All that a bucket holds: each key's values, sorted, and whether they expire.
async fn content(client: &Client, bucket: &str) -> BTreeMap<Bytes, Vec<(Bytes, bool)>> {
    let (mut listing, mut content) = (client.entries(bucket), BTreeMap::new());
    while let Some(page) = listing.next_page().await.unwrap() {
        for entry in page.items {
            let value = |value: kv::client::Value| (value.bytes, value.expires_ms.is_some());
            let mut values: Vec<_> = entry.values.into_iter().map(value).collect();
            values.sort();
            content.insert(entry.key, values);
        }
    }
    content
}

#[tokio::test]
async fn an_export_imported_elsewhere_is_equal() {
    let (old, new) = (quick_cluster().await, quick_cluster().await);
    let (from, to) = (old.client().await, new.client().await);
    let live = fill(&from, "carts", 3000).await;
    for sibling in ["apples", "pears"] {
        from.put("siblings", sibling).bucket("carts").blind(BlindWrite::Sibling).w(3).await.unwrap();
    }
    let binary = Bytes::from_static(b"\xff\x00\n\"");
    from.put(&binary, binary.clone()).bucket("carts").w(3).await.unwrap();
    from.put("empty", "").bucket("carts").w(3).await.unwrap();
    from.put("mortal", "x").bucket("carts").ttl(Duration::from_secs(3600)).w(3).await.unwrap();

    let file = old.path("carts.jsonl");
    let file = file.to_str().unwrap();
    let (cli, other) = (Cli::of(&old), Cli::of(&new));
    let (code, stdout, stderr) = cli.run(&["export", "--bucket", "carts", "-o", file]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.starts_with(&format!("exported {} keys", live.len() + 4)), "{stderr}");
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), live.len() + 4);

    // What was there is replaced; what the file does not name stays.
    to.put("empty", "not").bucket("carts").await.unwrap();
    let imported = other.json(&["import", file]);
    let wanted = json!({ "keys": live.len() + 4, "values": live.len() + 5, "skipped": 0, "expired": 0, "failed": 0 });
    assert_eq!(imported, wanted);
    assert_eq!(content(&to, "carts").await, content(&from, "carts").await);
    let siblings = to.multi_get([Get::new("siblings").bucket("carts")]).await.remove(0).unwrap();
    assert_eq!(siblings.siblings().collect::<Vec<_>>(), ["pears", "apples"], "the newest first");

    // Once more is the same as once, and those that are there can be left alone.
    assert_eq!(other.json(&["import", file, "--concurrency", "300"]), wanted);
    assert_eq!(content(&to, "carts").await, content(&from, "carts").await);
    let skipped = other.json(&["import", file, "--skip-existing"]);
    assert_eq!((&skipped["keys"], &skipped["skipped"]), (&json!(0), &json!(live.len() + 4)));
    assert_eq!(other.prints(&["keys", "--bucket", "carts", "--count"]), format!("{}\n", live.len() + 4));
    assert!(other.prints(&["keys", "--bucket", "carts", "--prefix", "\"", "--json"]).is_empty());
    let printed = other.prints(&["keys", "--bucket", "carts", "--json"]);
    assert!(
        printed.lines().any(|line| line == r#"{"base64":"/wAKIg=="}"#)
            && printed.lines().any(|line| line == "\"empty\"")
    );
}

#[tokio::test]
async fn lines_that_fail_are_named_and_the_others_go_on() {
    let cluster = quick_cluster().await;
    let cli = Cli::of(&cluster);
    let file = cluster.path("lines.jsonl");
    let long = "k".repeat(5000);
    let lines = [
        r#"{"bucket":"b","key":"one","values":[{"value":"1"}]}"#,
        "no json",
        "",
        &format!(r#"{{"bucket":"b","key":"{long}","values":[{{"value":"1"}}]}}"#),
        r#"{"bucket":"b","key":"expired","values":[{"value":"1","expires_ms":1}]}"#,
        r#"{"bucket":"b","key":"two","values":[{"value":"2"}]}"#,
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) = cli.run(&["import", file, "--json"]);
    assert_eq!(code, 2, "{stderr}");
    let done: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(done, json!({ "keys": 2, "values": 2, "skipped": 0, "expired": 1, "failed": 2 }));
    assert!(stderr.contains("line 2: expected") && stderr.contains("line 4: b/kkk"), "{stderr}");
    assert!(stderr.contains("key has 5000 bytes, the limit is 4096"), "{stderr}");
    assert_eq!(cli.prints(&["read", "two", "--bucket", "b"]), "2\n");
    assert!(cli.prints(&["import", file, "--from-line", "6"]).starts_with("imported 1 keys with 1 values;"));
    assert_eq!(cli.run(&["import", "/no/such/file"]).0, 2);
    assert_eq!(cli.run(&["export", "-o", "/no/such/folder/file"]).0, 2);
}
