//! Questions to the coordination service over the sockets of a real node.
//!
//! The service is one in this process, so that the test can look into it.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use actix_rt::System;
use kv::api::server::Server;
use kv::client::{Client, ClientError};
use kv::config::{Config, NodeEntry};
use kv::coordination::local::Local;
use kv::core::id::{NodeId, StoreId};
use kv::node::env::Env;
use kv::storage::home::memory::MemoryDirectory;
use kv::wire::tree::{Seen, TreeAnswer, TreeFailure, TreeRequest};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wait::until;

/// A node that runs until it is told to stop, on a service that the test can look into.
struct Node {
    address: String,
    service: Local,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Node {
    async fn start() -> Node {
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let entry = NodeEntry::new(NodeId(1), address.clone());
        let mut config = Config::default();
        (config.cluster.replication, config.cluster.nodes) = (1, vec![entry]);
        config.cluster.coordination.bootstrap = true;
        (config.node.listen, config.node.advertise) = (address.clone(), address.clone());
        let service = Local::new();
        let given = Arc::new(service.clone());
        let thread = thread::spawn(move || {
            System::new().block_on(async {
                let home = Box::new(MemoryDirectory::default().open(StoreId(1)));
                let server =
                    Server::start(config, Arc::new(Mutex::new(home)), Some(given), Env::real(1)).await.unwrap();
                tell.send(()).unwrap();
                // That the test is over means the same.
                let _ = stopped.await;
                server.stop().await;
            });
        });
        told.await.unwrap();
        Node { address, service, stop, thread }
    }

    async fn client(&self) -> Client {
        Client::connect([self.address.clone()]).await.unwrap()
    }
}

fn create(path: &str, held: bool) -> TreeRequest {
    TreeRequest::Create { path: path.into(), data: "data".into(), sequential: false, held }
}

fn watch(path: &str, seen: Option<Seen>) -> TreeRequest {
    TreeRequest::Watch { path: path.into(), subtree: false, seen, wait_ms: 30_000 }
}

/// Watches what does not change. When this returns the node waits for it.
async fn watch_in_vain(client: &Client, path: &'static str) -> JoinHandle<Result<TreeAnswer, ClientError>> {
    let TreeAnswer::Watched(watched) = client.tree(watch(path, None)).await.unwrap() else {
        panic!("nothing seen yet")
    };
    let watcher = client.clone();
    let waiting = tokio::spawn(async move { watcher.tree(watch(path, Some(watched.seen))).await });
    tokio::task::yield_now().await;
    // On the same connection, and so behind it.
    client.tree(TreeRequest::Get { path: "/".into(), sync: false }).await.unwrap();
    waiting
}

fn is_there(service: &Local, path: &str) -> bool {
    service.state().tree().stat(&path.parse().unwrap()).is_some()
}

#[tokio::test]
async fn what_a_connection_holds_goes_with_it() {
    let node = Node::start().await;
    let service = &node.service;
    let (holder, other) = (node.client().await, node.client().await);
    holder.tree(create("/held", true)).await.unwrap();
    other.tree(create("/kept", false)).await.unwrap();
    // A watch that waits does not keep the connection.
    let waiting = watch_in_vain(&holder, "/held").await;
    assert!(is_there(service, "/held"));
    let began = Instant::now();
    waiting.abort();
    drop(holder);
    until("the end of the held node", async || (!is_there(service, "/held")).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for the watch");
    assert!(is_there(service, "/kept"));
}

#[tokio::test]
async fn a_watch_that_waits_does_not_keep_the_node_from_stopping() {
    let node = Node::start().await;
    let client = node.client().await;
    let waiting = watch_in_vain(&client, "/a").await;
    let began = Instant::now();
    node.stop.send(()).unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, ClientError::Tree(TreeFailure::ShuttingDown)), "{refused}");
    tokio::task::spawn_blocking(move || node.thread.join().unwrap()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
