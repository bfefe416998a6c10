//! What a node says to nonsense, and what that costs it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kv::client::{Client, ClientError, Context, Failure, Put};
use kv::core::key::Key;
use kv::core::request::{Operation, Options};
use kv::wire::handshake::{Hello, Refusal, Welcome};
use kv::wire::message::ToNode;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::native::{Native, framed, greet, hello};
use crate::process::{Cluster, Setup};
use crate::wait::until;

/// Who greets slower than this is closed; short, so that the test need not wait long.
const HANDSHAKE_TIMEOUT_MS: u64 = 1000;
/// Who says nothing whole for so long is closed.
const IDLE_TIMEOUT_MS: u64 = 1500;
/// What a node's memory may grow by, allocator's slack included.
const GROWTH_KB_MAX: u64 = 32 << 10;
/// What it may ask the system for meanwhile, used or not: less than the gigabyte that a stranger announces.
const ASKED_KB_MAX: u64 = 512 << 10;

async fn one_node() -> Cluster {
    one_node_with(&format!("handshake_timeout_ms = {HANDSHAKE_TIMEOUT_MS}\nidle_timeout_ms = {IDLE_TIMEOUT_MS}")).await
}

async fn one_node_with(limits: &str) -> Cluster {
    Cluster::start_with(Setup { nodes: 1, own: format!("[limits]\n{limits}\n"), ..Setup::default() }).await
}

/// Does what is asked, then proves that the node's memory stayed where it was and that it still serves.
async fn at_no_cost(cluster: &Cluster, what: &str, misbehave: impl AsyncFnOnce()) {
    // A first round of ordinary work fills caches that stay.
    serves(cluster).await;
    let (before, asked_before) = cluster.memory_kb(1);
    misbehave().await;
    serves(cluster).await;
    let (after, asked) = cluster.memory_kb(1);
    println!("{what}: {before} kB of memory before, {after} kB after");
    assert!(after <= before + GROWTH_KB_MAX, "{what}: {before} kB became {after} kB");
    assert!(asked <= asked_before + ASKED_KB_MAX, "{what}: it asked for {asked} kB, before for {asked_before} kB");
}

async fn serves(cluster: &Cluster) {
    let client = cluster.client().await;
    let written = client.multi_put((0..200).map(|i| Put::new(format!("ordinary-{i}"), vec![b'x'; 1000]))).await;
    written.into_iter().for_each(|result| assert!(result.is_ok(), "{result:?}"));
    assert!(client.get("ordinary-0").await.unwrap().value().is_some());
}

async fn logged(cluster: &Cluster, count: usize, reason: &str) {
    until(&format!("{count} times in the log: {reason}"), async || {
        let log = cluster.log(1);
        let lines = log.lines().filter(|line| line.contains("connection from") && line.contains(reason));
        (lines.count() >= count).then_some(())
    })
    .await;
}

/// Waits until the node has closed the connection, whatever it says before.
async fn closed(socket: &mut TcpStream) {
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A node that has closed the connection already is no trouble to one who misbehaves.
async fn send_anyway(socket: &mut TcpStream, bytes: &[u8]) {
    let _ = socket.write_all(bytes).await;
}

#[tokio::test]
async fn strangers_are_closed_with_a_reason() {
    const EACH: usize = 20;
    let cluster = one_node().await;
    let address = cluster.address(1);
    at_no_cost(&cluster, "strangers", async || {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut noise = || {
            let mut bytes = vec![0; 4096];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        for _ in 0..EACH {
            // Noise, of which the first four bytes are a length; noise behind a length that is allowed; an HTTP
            // request.
            let short = [&100u32.to_be_bytes()[..], &noise()[..100]].concat();
            for bytes in [noise(), short, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()] {
                let mut socket = TcpStream::connect(address).await.unwrap();
                send_anyway(&mut socket, &bytes).await;
                closed(&mut socket).await;
            }
            // A gigabyte, announced by a stranger and by somebody who was welcome.
            let mut socket = TcpStream::connect(address).await.unwrap();
            send_anyway(&mut socket, &(1u32 << 30).to_be_bytes()).await;
            closed(&mut socket).await;
            let mut welcome = Native::connect(address).await;
            send_anyway(welcome.socket(), &(1u32 << 30).to_be_bytes()).await;
            closed(welcome.socket()).await;
            // A greeting, then no MessagePack.
            let mut welcome = Native::connect(address).await;
            send_anyway(welcome.socket(), &[&64u32.to_be_bytes()[..], &[0xc1; 64]].concat()).await;
            closed(welcome.socket()).await;
            // A frame that ends before its length.
            let mut welcome = Native::connect(address).await;
            send_anyway(welcome.socket(), &[&64u32.to_be_bytes()[..], &[0x91; 10]].concat()).await;
            welcome.socket().shutdown().await.unwrap();
            closed(welcome.socket()).await;
        }
    })
    .await;
    logged(&cluster, EACH, "bytes, the limit is 1024").await;
    logged(&cluster, EACH, "a frame of 1073741824 bytes, the limit is 1024").await;
    logged(&cluster, EACH, "a frame of 1073741824 bytes, the limit is 4194304").await;
    logged(&cluster, 2 * EACH, "malformed message").await;
    logged(&cluster, EACH, "the connection ended inside a frame").await;
}

#[tokio::test]
async fn a_wrong_greeting_is_refused_with_the_reason() {
    let cluster = one_node().await;
    let refused = async |hello: Hello| match greet(cluster.address(1), &hello).await {
        (Welcome::Refused(refusal), _) => refusal,
        (welcome, _) => panic!("{welcome:?}"),
    };
    let version = Refusal::Version { oldest: 1, newest: 1 };
    assert_eq!(refused(Hello { oldest: 2, newest: 9, ..hello() }).await, version);
    assert_eq!(refused(Hello { oldest: 0, newest: 0, ..hello() }).await, version);
    assert_eq!(refused(Hello { magic: "redis".into(), ..hello() }).await, Refusal::NotKv);
    let other = Refusal::Cluster { cluster: "test".into() };
    assert_eq!(refused(Hello { cluster: Some("production".into()), ..hello() }).await, other);
    logged(&cluster, 2, "no common protocol version: the node speaks 1 to 1").await;
    logged(&cluster, 1, "this node belongs to cluster 'test'").await;
}

#[tokio::test]
async fn half_open_and_slow_connections_are_closed_in_time() {
    const HALF_OPEN: usize = 500;
    let cluster = one_node().await;
    let address = cluster.address(1);
    at_no_cost(&cluster, "half-open connections", async || {
        let mut half_open = vec![];
        for i in 0..HALF_OPEN {
            let mut socket = TcpStream::connect(address).await.unwrap();
            // Half of them have begun to greet.
            if i % 2 == 0 {
                send_anyway(&mut socket, &[0, 0]).await;
            }
            half_open.push(socket);
        }
        // They are in nobody's way.
        serves(&cluster).await;
        for socket in &mut half_open {
            closed(socket).await;
        }
    })
    .await;
    logged(&cluster, HALF_OPEN, &format!("no greeting in {HANDSHAKE_TIMEOUT_MS} ms")).await;

    // One byte at a time, for ever: within the greeting, and within a message.
    let start = Instant::now();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let greeting = framed(&hello());
    let drip = async |socket: &mut TcpStream, bytes: &BytesMut| {
        for byte in bytes.iter() {
            if socket.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        closed(socket).await;
    };
    drip(&mut slow, &greeting).await;
    assert!(start.elapsed() < Duration::from_millis(100) * greeting.len() as u32, "it could greet to the end");
    let mut slow = Native::connect(address).await;
    let long = Operation::Get { key: Key::bare(vec![b'k'; 1000]) };
    let request = kv::core::request::Request { operation: long, options: Options::default() };
    let call = framed(&vec![ToNode::Call { id: 1, epoch: None, request }]);
    drip(slow.socket(), &call).await;
    logged(&cluster, 1, "idle (limits.idle_timeout_ms)").await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    const CONNECTIONS_MAX: usize = 50;
    let cluster = one_node_with(&format!("connections_max = {CONNECTIONS_MAX}")).await;
    let mut welcome = vec![];
    let refusal = loop {
        match greet(cluster.address(1), &hello()).await {
            (Welcome::Accepted { .. }, reader) => welcome.push(reader),
            (Welcome::Refused(refusal), _) => break refusal,
            (welcome, _) => panic!("{welcome:?}"),
        }
        assert!(welcome.len() <= CONNECTIONS_MAX, "no limit is kept");
    };
    assert_eq!(refusal, Refusal::TooManyConnections { limit: CONNECTIONS_MAX as u32 });
    drop(welcome);
    until("there is room again", async || Client::connect([cluster.address(1)]).await.ok().map(drop)).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_nothing_is_stored() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let failure = |result: Result<kv::client::Written, ClientError>| match result.unwrap_err() {
        ClientError::Failure(failure) => failure,
        other => panic!("{other:?}"),
    };

    let invalid = [
        (client.put("k", "v").w(4).await, "w=4, but only n=3 replicas are asked"),
        (client.put("k", "v").n(2).w(3).await, "w=3, but only n=2 replicas are asked"),
        (client.put("k", "v").n(4).await, "n=4, but the bucket keeps 3 replicas; a request may only lower n"),
        (client.put("k", "v").w(0).await, "w=0: at least one replica must answer"),
        (client.put("k", "v").strict().sloppy(true).await, "strict and sloppy exclude each other"),
        (client.put("", "v").await, "the key is empty; give at least one byte"),
        (client.put("k", "v").bucket("").await, "the bucket is empty; leave it out for 'default'"),
    ];
    for (result, reason) in invalid {
        assert_eq!(failure(result), Failure::Invalid(reason.into()));
    }
    let read = client.get("k").r(4).await.unwrap_err();
    assert_eq!(read, ClientError::Failure(Failure::Invalid("r=4, but only n=3 replicas are asked".into())));

    let limits = kv::core::limits::Limits::default();
    let over = |what: &str, limit: u32| Failure::TooLarge {
        what: what.into(),
        bytes: u64::from(limit) + 1,
        limit: limit.into(),
    };
    let long = |limit: u32| vec![b'x'; limit as usize + 1];
    let key = client.put(long(limits.key_bytes_max), "v").await;
    assert_eq!(failure(key), over("key", limits.key_bytes_max));
    let value = client.put("k", long(limits.value_bytes_max)).await;
    assert_eq!(failure(value), over("value", limits.value_bytes_max));
    let bucket = client.put("k", "v").bucket(long(limits.bucket_bytes_max)).await;
    assert_eq!(failure(bucket), over("bucket", limits.bucket_bytes_max));
    let most = vec![b'x'; limits.value_bytes_max as usize];
    client.put(vec![b'k'; limits.key_bytes_max as usize], most).await.expect("at the limits is within them");

    let right = client.put("other", "v").await.unwrap().context;
    let mut damaged = right.as_bytes().to_vec();
    damaged[3] ^= 1;
    let contexts: [(&str, &[u8]); 5] = [
        ("it is truncated", b""),
        ("it is truncated", &right.as_bytes()[..5]),
        ("its checksum is wrong: it was damaged, or belongs to another key", &damaged),
        ("its checksum is wrong: it was damaged, or belongs to another key", right.as_bytes()),
        ("its format 255 is unknown here", &[255; 40]),
    ];
    for (reason, context) in contexts {
        let context = Context::from_bytes(Bytes::copy_from_slice(context));
        assert_eq!(failure(client.put("k", "v").context(&context).await), Failure::BadContext(reason.into()));
        let deleted = client.delete("k").context(&context).await;
        assert_eq!(failure(deleted), Failure::BadContext(reason.into()));
    }
    let read = client.get("k").r(3).await.unwrap();
    assert!(read.value().is_none() && read.context.is_none(), "nothing of all that was stored: {read:?}");
}
