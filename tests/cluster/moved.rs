//! What a coordinator does when the ring changes under its operations, step by step: one real node among three that are played by the
//! test, which says what they answer and when.

use std::sync::{Arc, Mutex};
use std::thread;

use actix_rt::System;
use bytes::Bytes;
use kv::api::server::Server;
use kv::client::Client;
use kv::config::{Config, NodeEntry};
use kv::coordination::local::Local;
use kv::core::id::{Epoch, NodeId, StoreId};
use kv::core::request::{Answer, Failure};
use kv::core::ring::{Motion, Slice};
use kv::node::env::Env;
use kv::storage::home::memory::MemoryDirectory;
use kv::testing::free_addresses;
use kv::wire::frame::{FrameLimits, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Role, VERSIONS, Welcome};
use kv::wire::message::{ReplicaError, ToCoordinator, ToReplica};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::inspection::{counter, status};
use crate::native::{Native, framed};
use crate::ring::change;
use crate::wait::until;

/// A node that is played.
struct Peer {
    asked: mpsc::UnboundedReceiver<ToReplica>,
    answers: mpsc::UnboundedSender<ToCoordinator>,
}

/// An object that a peer was asked to hold.
#[derive(Debug)]
struct Stored {
    id: u64,
    epoch: Epoch,
    object: Bytes,
}

impl Peer {
    async fn start(node: u32, address: &str) -> Peer {
        let listener = TcpListener::bind(address).await.unwrap();
        let (ask, asked) = mpsc::unbounded_channel();
        let (answers, mut answered) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever hangs up may call again.
                let _ = serve(node, stream, &ask, &mut answered).await;
            }
        });
        Peer { asked, answers }
    }

    async fn next(&mut self) -> ToReplica {
        self.asked.recv().await.expect("it is played until the end")
    }

    async fn store(&mut self) -> Stored {
        match self.next().await {
            ToReplica::Store { id, epoch, object, .. } => Stored { id, epoch, object },
            other => panic!("{other:?}"),
        }
    }

    async fn fetch(&mut self) -> (u64, Epoch) {
        match self.next().await {
            ToReplica::Fetch { id, epoch, .. } => (id, epoch),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, answer: ToCoordinator) {
        self.answers.send(answer).unwrap();
    }

    fn stored(&self, id: u64) {
        self.answer(ToCoordinator::Stored { id, leased: true, result: Ok(()) });
    }

    fn moved(&self, id: u64, epoch: Epoch) {
        self.answer(ToCoordinator::Failed { id, error: ReplicaError::Moved(epoch) });
    }

    fn found_nothing(&self, id: u64) {
        self.answer(ToCoordinator::Fetched { id, leased: true, result: Ok(None) });
    }
}

/// Greets a peer and passes on what it asks. Applications are sent away.
async fn serve(
    node: u32,
    stream: TcpStream,
    ask: &mpsc::UnboundedSender<ToReplica>,
    answered: &mut mpsc::UnboundedReceiver<ToCoordinator>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = FrameReader::new(read, GREETING);
    let Some(Hello { role: Role::Peer { callee, .. }, .. }) = reader.read_one().await? else { return Ok(()) };
    let (cluster, limits) = ("kv".into(), FrameLimits::default());
    let welcome = Welcome::Accepted {
        version: VERSIONS.1,
        cluster,
        node: NodeId(node),
        store: callee,
        frame_bytes_max: limits.frame_bytes_max,
        in_flight_max: 1000,
    };
    write.write_all(&framed(&welcome)).await?;
    reader.set_limits(limits);
    let mut frames = vec![];
    loop {
        let answer = tokio::select! {
            biased;
            Some(answer) = answered.recv() => vec![answer],
            more = reader.read(&mut frames) => {
                if !more? {
                    return Ok(());
                }
                let mut pongs = vec![];
                for frame in frames.drain(..) {
                    for message in kv::wire::frame::decode::<Vec<ToReplica>>(&frame)? {
                        match message {
                            ToReplica::Ping(beat) => pongs.push(ToCoordinator::Pong(beat)),
                            message => ask.send(message).expect("it is played until the end"),
                        }
                    }
                }
                pongs
            }
        };
        write.write_all(&framed(&answer)).await?;
    }
}

/// Node 1, and nodes 2 to 4 as they are played.
struct Stage {
    client: Client,
    address: String,
    peers: [Peer; 3],
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Stage {
    /// These nodes, by their numbers less one, own everything.
    async fn set(owners: [u16; 3]) -> Stage {
        let addresses = free_addresses(4).unwrap();
        let peers = [
            Peer::start(2, &addresses[1]).await,
            Peer::start(3, &addresses[2]).await,
            Peer::start(4, &addresses[3]).await,
        ];
        let mut config = Config::default();
        config.cluster.nodes = (1..).zip(&addresses).map(|(id, address)| NodeEntry::new(NodeId(id), address)).collect();
        config.cluster.coordination.bootstrap = true;
        config.node.id = NodeId(1);
        (config.node.listen, config.node.advertise) = (addresses[0].clone(), addresses[0].clone());
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            System::new().block_on(async {
                let home = Arc::new(Mutex::new(Box::new(MemoryDirectory::default().open(StoreId(1))) as _));
                let service = Arc::new(Local::new());
                let server = Server::start(config, home, Some(service), Env::real(1)).await.unwrap();
                tell.send(()).unwrap();
                // That the test is over means the same.
                let _ = stopped.await;
                server.stop().await;
            });
        });
        told.await.unwrap();
        let client = Client::connect([addresses[0].clone()]).await.unwrap();
        let stage = Stage { client, address: addresses[0].clone(), peers, stop, thread };
        until("there is a link to everybody, and a lease", async || {
            let status = status(&stage.client, 1).await;
            (status.leased && status.peers.iter().filter(|peer| peer.up).count() == 3).then_some(())
        })
        .await;
        stage.publish(&owners, None).await;
        stage
    }

    /// The next ring, acknowledged.
    async fn publish(&self, owners: &[u16], motion: Option<Motion<u16>>) -> Epoch {
        let slice = |slice: &mut Slice<u16>| (slice.owners, slice.motion) = (owners.to_vec(), motion.clone());
        change(&self.client, &[1], slice).await
    }

    /// What is written at this w.
    fn put(&self, w: u8) -> JoinHandle<Result<u32, Failure>> {
        let address = self.address.clone();
        tokio::spawn(async move { Native::connect(&address).await.put("key", "value", None, w).await })
    }

    async fn rebased(&self) -> u64 {
        counter(&self.client, 1, "rebased").await
    }

    fn end(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn after(epoch: Epoch) -> Epoch {
    Epoch { counter: epoch.counter + 1, ..epoch }
}

#[tokio::test]
async fn a_write_goes_on_with_its_dot() {
    let mut stage = Stage::set([0, 1, 2]).await;
    let put = stage.put(3);
    let [two, three, four] = &mut stage.peers;
    let (first, held) = (two.store().await, three.store().await);
    assert_eq!((first.epoch, &first.object), (held.epoch, &held.object));
    // Node 2 has heard of a ring that node 1 does not know: its place stays open.
    let newer = after(first.epoch);
    two.moved(first.id, newer);
    three.stored(held.id);
    until("the ring is waited for", async || (counter(&stage.client, 1, "ring_awaited").await == 1).then_some(()))
        .await;

    let pending = Some(Motion::Pending(vec![0, 1, 3]));
    let slice = |slice: &mut Slice<u16>| slice.motion.clone_from(&pending);
    assert_eq!(change(&stage.client, &[1], slice).await, newer);
    assert_eq!(counter(&stage.client, 1, "rebased").await, 1, "acknowledged before the write went by the new ring");
    for peer in [&mut *two, &mut *four] {
        let again = peer.store().await;
        assert_eq!((again.epoch, &again.object), (newer, &first.object));
        // What comes late of what was sent by the older ring says nothing.
        peer.moved(first.id, newer);
        peer.stored(again.id);
    }
    assert_eq!(put.await.unwrap(), Ok(1));
    assert!(three.asked.try_recv().is_err(), "node 3 held it");
    stage.end();
}

#[tokio::test]
async fn a_read_asks_the_new_owners() {
    let mut stage = Stage::set([0, 1, 2]).await;
    let address = stage.address.clone();
    let get = tokio::spawn(async move { Native::connect(&address).await.get("key", 3).await });
    let [two, three, four] = &mut stage.peers;
    let ((old, epoch), _) = (two.fetch().await, three.fetch().await);
    let slice =
        |slice: &mut Slice<u16>| (slice.owners, slice.motion) = (vec![0, 1, 3], Some(Motion::Switched(vec![0, 1, 2])));
    let newer = change(&stage.client, &[1], slice).await;
    assert!(newer > epoch);
    two.moved(old, newer);
    for peer in [&mut *two, &mut *four] {
        let (id, epoch) = peer.fetch().await;
        assert_eq!(epoch, newer);
        peer.found_nothing(id);
    }
    assert_eq!(get.await.unwrap().unwrap().0, Vec::<Bytes>::new());
    assert!(three.asked.try_recv().is_err());
    stage.end();
}

#[tokio::test]
async fn a_forwarded_write_that_was_surely_not_minted_begins_anew() {
    let mut stage = Stage::set([1, 2, 3]).await;
    let put = stage.put(2);
    let [two, three, four] = &mut stage.peers;
    let ToReplica::Forward { id, epoch, .. } = two.next().await else { panic!("node 1 is no owner") };
    let newer = after(epoch);
    two.answer(ToCoordinator::Forwarded { id, result: Err(Failure::Moved { epoch: newer }) });
    until("the ring is waited for", async || (counter(&stage.client, 1, "ring_awaited").await == 1).then_some(()))
        .await;
    let slice = |slice: &mut Slice<u16>| slice.owners = vec![0, 2, 3];
    assert_eq!(change(&stage.client, &[1], slice).await, newer);
    // Now node 1 may mint it.
    for peer in [three, four] {
        let asked = peer.store().await;
        assert_eq!(asked.epoch, newer);
        peer.stored(asked.id);
    }
    assert_eq!(put.await.unwrap(), Ok(1));
    stage.end();
}

#[tokio::test]
async fn a_forwarded_write_that_may_have_been_minted_stays() {
    let mut stage = Stage::set([1, 2, 3]).await;
    let put = stage.put(2);
    let ToReplica::Forward { id, .. } = stage.peers[0].next().await else { panic!("node 1 is no owner") };
    stage.publish(&[0, 2, 3], None).await;
    assert_eq!(stage.rebased().await, 0);
    let written = Answer::Written { context: Bytes::new(), siblings: 7, replicas: vec![] };
    stage.peers[0].answer(ToCoordinator::Forwarded { id, result: Ok(written) });
    assert_eq!(put.await.unwrap(), Ok(7));
    assert!(stage.peers.iter_mut().all(|peer| peer.asked.try_recv().is_err()));
    stage.end();
}
