//! The network between the nodes and their clients: relays, which can hold, delay and break what they carry.
//!
//! Each node listens where nobody else looks, and is known to all by the address of its relay. The relay learns from the
//! greeting who calls, so that it can treat each way between two parties by itself. What is held is not lost: like what TCP sends
//! again, it arrives in order when the way is open. That needs no rights, and works wherever there are sockets.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv::wire::frame::{GREETING, Splitter, decode};
use kv::wire::handshake::{Hello, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::schedule::Fault;

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;
/// Chunks that are under way in each direction of a connection; beyond: the sender waits, as for a full window.
const CHUNKS_MAX: usize = 64;

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// A node, to another.
    Node(u32),
    /// An application.
    Client,
}

/// How it is with what one party says to another, from the best to the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    Open,
    Late(Duration),
    Held,
    Broken,
}

/// The faults that strike the network now, each with its number.
type Faults = Vec<(usize, Fault)>;

fn way(faults: &Faults, from: Party, to: Party) -> Way {
    let is = |party: Party, node: u32| party == Party::Node(node);
    let worsens = |fault: &Fault| match fault {
        Fault::Split(nodes) => {
            let inside = |party: Party| nodes.iter().any(|node| is(party, *node));
            if inside(from) != inside(to) { Way::Held } else { Way::Open }
        }
        Fault::Cut(a, b) if is(from, *a) && is(to, *b) || is(from, *b) && is(to, *a) => Way::Broken,
        Fault::Deaf(a, b) if is(from, *a) && is(to, *b) => Way::Held,
        Fault::Slow(a, b, delay) if is(from, *a) && is(to, *b) => Way::Late(*delay),
        _ => Way::Open,
    };
    faults.iter().map(|(_, fault)| worsens(fault)).max().unwrap_or(Way::Open)
}

/// The relays of all nodes. Dropped, they take no more connections.
pub struct Network {
    faults: Arc<watch::Sender<Faults>>,
    addresses: BTreeMap<u32, String>,
    _relays: JoinSet<()>,
}

impl Network {
    /// A relay before each of these nodes, given with the address where it listens.
    pub async fn before(nodes: &BTreeMap<u32, String>) -> io::Result<Network> {
        let (mut listeners, mut addresses) = (vec![], BTreeMap::new());
        for (node, target) in nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.insert(*node, listener.local_addr()?.to_string());
            listeners.push((*node, target.clone(), listener));
        }
        let (faults, known) = (Arc::new(watch::Sender::new(vec![])), Arc::new(addresses.clone()));
        let mut relays = JoinSet::new();
        for (node, target, listener) in listeners {
            let relay = Relay { node, target, known: known.clone(), faults: faults.subscribe() };
            relays.spawn(relay.listen(listener));
        }
        Ok(Network { faults, addresses, _relays: relays })
    }

    /// Where a node is reached.
    pub fn address(&self, node: u32) -> &str {
        &self.addresses[&node]
    }

    /// A fault begins; its number is one that no other has now.
    pub fn begin(&self, number: usize, fault: Fault) {
        self.faults.send_modify(|faults| faults.push((number, fault)));
    }

    /// A fault ends.
    pub fn end(&self, number: usize) {
        self.faults.send_modify(|faults| faults.retain(|(other, _)| *other != number));
    }
}

/// What stands before one node.
#[derive(Clone)]
struct Relay {
    node: u32,
    target: String,
    /// Where all nodes are reached.
    known: Arc<BTreeMap<u32, String>>,
    faults: watch::Receiver<Faults>,
}

impl Relay {
    async fn listen(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((caller, _)) = listener.accept().await {
            connections.spawn(self.clone().carry(caller));
            // Those that have ended are forgotten.
            while connections.try_join_next().is_some() {}
        }
    }

    /// Carries a connection to its end. Whatever breaks it, both sides see it end.
    async fn carry(self, mut caller: TcpStream) {
        let Some((party, greeting)) = self.greeting(&mut caller).await else { return };
        let there = Path { from: party, to: Party::Node(self.node), faults: self.faults.clone() };
        let back = Path { from: there.to, to: there.from, faults: self.faults.clone() };
        there.clone().passable().await;
        if there.is_broken() || back.is_broken() {
            return;
        }
        let Ok(callee) = TcpStream::connect(&self.target).await else { return };
        if caller.set_nodelay(true).is_err() || callee.set_nodelay(true).is_err() {
            return;
        }
        let (from_caller, to_caller) = caller.into_split();
        let (from_callee, to_callee) = callee.into_split();
        let (there_broken, back_broken) = (there.clone().broken(), back.clone().broken());
        tokio::select! {
            biased;
            () = there_broken => {}
            () = back_broken => {}
            () = pipe(greeting, from_caller, to_callee, there.clone(), back.clone()) => {}
            () = pipe(Bytes::new(), from_callee, to_caller, back, there) => {}
        }
    }

    /// Who calls, and the bytes that said it.
    async fn greeting(&self, caller: &mut TcpStream) -> Option<(Party, Bytes)> {
        let mut said = BytesMut::new();
        loop {
            if caller.read_buf(&mut said).await.ok()? == 0 {
                return None;
            }
            // What is no greeting is for the node to refuse.
            let message = match Splitter::new(GREETING).next(&mut said.clone()) {
                Ok(None) => continue,
                Ok(Some(message)) => message,
                Err(_) => return Some((Party::Client, said.freeze())),
            };
            let party = decode::<Hello>(&message).map_or(Party::Client, |hello| self.party(hello.role));
            return Some((party, said.freeze()));
        }
    }

    fn party(&self, role: Role) -> Party {
        let at = |address: &str| self.known.iter().find(|(_, known)| *known == address).map(|(node, _)| *node);
        match role {
            Role::Client { .. } => Party::Client,
            Role::Peer { node, .. } => Party::Node(node.0),
            Role::Keeper(keeper) => at(&keeper.address).map_or(Party::Client, Party::Node),
        }
    }
}

/// One way between two parties.
#[derive(Clone)]
struct Path {
    from: Party,
    to: Party,
    faults: watch::Receiver<Faults>,
}

impl Path {
    fn is_broken(&self) -> bool {
        way(&self.faults.borrow(), self.from, self.to) == Way::Broken
    }

    fn delay(&self) -> Duration {
        match way(&self.faults.borrow(), self.from, self.to) {
            Way::Late(delay) => delay,
            Way::Open | Way::Held | Way::Broken => Duration::ZERO,
        }
    }

    /// Until it holds nothing back.
    async fn passable(mut self) {
        // The network is gone with its sender, and every connection with it.
        let _ = self.faults.wait_for(|faults| way(faults, self.from, self.to) != Way::Held).await;
    }

    /// Until it is broken.
    async fn broken(mut self) {
        let _ = self.faults.wait_for(|faults| way(faults, self.from, self.to) == Way::Broken).await;
    }
}

/// Carries what is said on a way to its end, which arrives as late as all else.
async fn pipe(first: Bytes, mut input: OwnedReadHalf, mut output: OwnedWriteHalf, way: Path, back: Path) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_MAX);
    let read = async move {
        let mut chunk = first;
        while sender.send((Instant::now(), chunk)).await.is_ok() {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            match input.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => chunk = buffer.freeze(),
            }
        }
        // What is under way still arrives.
        drop(sender);
        std::future::pending().await
    };
    let write = async {
        while let Some((said, chunk)) = under_way.recv().await {
            sleep_until(said + way.delay()).await;
            way.clone().passable().await;
            if output.write_all(&chunk).await.is_err() {
                // Who refuses it can be heard refusing only on the way back.
                return back.passable().await;
            }
        }
        way.clone().passable().await;
    };
    tokio::select! {
        biased;
        () = write => {}
        () = read => {}
    }
}

#[cfg(test)]
mod tests {
    use kv::core::id::{ClusterId, NodeId, Start, StoreId};
    use kv::wire::frame::encode;
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything takes that nothing holds back.
    const PROMPT: Duration = Duration::from_secs(20);
    /// How long is listened for what must not come.
    const SILENCE: Duration = Duration::from_millis(200);
    const NODE: u32 = 2;
    const CALLER: u32 = 1;

    /// A network, and the two ends of a connection from node 1 to node 2.
    async fn connection() -> (Network, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let network = Network::before(&BTreeMap::from([(NODE, target)])).await.unwrap();
        let (mut caller, greeting) = call(&network).await;
        let (mut callee, _) = listener.accept().await.unwrap();
        let mut received = vec![0; greeting.len()];
        callee.read_exact(&mut received).await.unwrap();
        assert_eq!(received, greeting);
        callee.write_all(b"welcome").await.unwrap();
        assert_eq!(heard(&mut caller, 7).await.as_deref(), Some(&b"welcome"[..]));
        (network, caller, callee)
    }

    async fn call(network: &Network) -> (TcpStream, BytesMut) {
        let start = Start { store: StoreId(1), number: 1, nonce: 1 };
        let (cluster, callee) = (ClusterId(1), StoreId(2));
        let role = Role::Peer { node: NodeId(CALLER), cluster, start, callee, arbiter: 0 };
        let mut greeting = BytesMut::new();
        encode(&Hello::new(None, role), GREETING.frame_bytes_max, &mut greeting);
        let mut caller = TcpStream::connect(network.address(NODE)).await.unwrap();
        caller.write_all(&greeting).await.unwrap();
        (caller, greeting)
    }

    /// So many bytes; `None` if they do not come.
    async fn heard(stream: &mut TcpStream, bytes: usize) -> Option<Vec<u8>> {
        let mut received = vec![0; bytes];
        timeout(PROMPT, stream.read_exact(&mut received)).await.ok()?.ok()?;
        Some(received)
    }

    async fn is_silent(stream: &mut TcpStream) -> bool {
        timeout(SILENCE, stream.read_u8()).await.is_err()
    }

    #[tokio::test]
    async fn what_is_held_arrives_later_and_whole() {
        let (network, mut caller, mut callee) = connection().await;
        network.begin(0, Fault::Split(vec![NODE]));
        caller.write_all(b"one").await.unwrap();
        callee.write_all(b"two").await.unwrap();
        assert!(is_silent(&mut caller).await && is_silent(&mut callee).await);
        drop(caller);
        network.end(0);
        assert_eq!(heard(&mut callee, 3).await.as_deref(), Some(&b"one"[..]));
        assert_eq!(callee.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn one_way_may_be_deaf() {
        let (network, mut caller, mut callee) = connection().await;
        network.begin(0, Fault::Deaf(CALLER, NODE));
        caller.write_all(b"one").await.unwrap();
        callee.write_all(b"two").await.unwrap();
        assert_eq!(heard(&mut caller, 3).await.as_deref(), Some(&b"two"[..]));
        assert!(is_silent(&mut callee).await);
        // Others are heard: it depends on who calls.
        assert_eq!(way(&network.faults.borrow(), Party::Client, Party::Node(NODE)), Way::Open);
    }

    #[tokio::test]
    async fn a_slow_way_delays() {
        const DELAY: Duration = Duration::from_millis(300);
        let (network, mut caller, mut callee) = connection().await;
        network.begin(0, Fault::Slow(CALLER, NODE, DELAY));
        let said = Instant::now();
        caller.write_all(b"one").await.unwrap();
        assert_eq!(heard(&mut callee, 3).await.as_deref(), Some(&b"one"[..]));
        assert!(said.elapsed() >= DELAY);
    }

    #[tokio::test]
    async fn a_cut_breaks_connections_and_refuses_new_ones() {
        let (network, mut caller, mut callee) = connection().await;
        network.begin(0, Fault::Cut(NODE, CALLER));
        assert!(timeout(PROMPT, caller.read_u8()).await.unwrap().is_err());
        assert!(timeout(PROMPT, callee.read_u8()).await.unwrap().is_err());
        let (mut again, _) = call(&network).await;
        assert!(timeout(PROMPT, again.read_u8()).await.unwrap().is_err());
    }
}
