//! The processes of the floor: this program, started again.
//!
//! Each listens on a free port, prints its address as one line, and serves until its standard input ends: so none outlives the process
//! that started it, however that ends.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use super::Direction;
use super::link::{self, Flusher, Inbox, Outbox};
use crate::BenchError;

/// `kv-bench floor-node`.
#[derive(Args)]
pub struct FloorNode {
    /// Whom to copy each request to; none: answer it.
    #[arg(long)]
    peer: Vec<SocketAddr>,
    /// Bytes of each answer that this process makes itself.
    #[arg(long, default_value_t = 0)]
    answer_bytes: u32,
}

impl FloorNode {
    /// Serves until standard input ends.
    pub async fn execute(self) -> Result<(), BenchError> {
        std::thread::spawn(|| {
            // Whatever ends the wait, an end of file or an error, the parent is gone.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::io("listen"))?;
        let address = listener.local_addr().map_err(BenchError::io("listen"))?;
        println!("{address}");
        io::stdout().flush().map_err(BenchError::io("print the address"))?;
        LocalSet::new().run_until(self.serve(listener)).await.map_err(BenchError::io("serve the floor"))
    }

    async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let flusher = Rc::new(Flusher::default());
        spawn_local(flusher.clone().run());
        let mut peers = Vec::new();
        for address in &self.peer {
            peers.push(link::open(TcpStream::connect(address).await?, &flusher)?);
        }
        let (inboxes, outboxes): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
        let coordinator = Rc::new(Coordinator { peers: outboxes, pending: RefCell::default() });
        for inbox in inboxes {
            spawn_local(coordinator.clone().hear_peer(inbox));
        }
        let answer = vec![b'v'; self.answer_bytes as usize];
        loop {
            let (inbox, outbox) = link::open(listener.accept().await?.0, &flusher)?;
            if self.peer.is_empty() {
                spawn_local(answer_all(inbox, outbox, answer.clone()));
            } else {
                spawn_local(coordinator.clone().hear_client(inbox, outbox));
            }
        }
    }
}

/// B and C.
async fn answer_all(mut inbox: Inbox, outbox: Rc<Outbox>, answer: Vec<u8>) {
    let mut requests = Vec::new();
    while inbox.read(&mut requests).await.unwrap_or(false) {
        requests.drain(..).for_each(|request| outbox.send(request.id, &answer));
    }
}

/// A.
struct Coordinator {
    peers: Vec<Rc<Outbox>>,
    pending: RefCell<Pending>,
}

impl Coordinator {
    async fn hear_client(self: Rc<Self>, mut inbox: Inbox, outbox: Rc<Outbox>) {
        let mut requests = Vec::new();
        while inbox.read(&mut requests).await.unwrap_or(false) {
            for request in requests.drain(..) {
                let slot = self.pending.borrow_mut().insert(&outbox, request.id, self.peers.len());
                self.peers.iter().for_each(|peer| peer.send(slot, &request.payload));
            }
        }
    }

    async fn hear_peer(self: Rc<Self>, mut inbox: Inbox) {
        let mut answers = Vec::new();
        while inbox.read(&mut answers).await.unwrap_or(false) {
            let mut pending = self.pending.borrow_mut();
            for answer in answers.drain(..) {
                if let Some((client, id)) = pending.answered(answer.id) {
                    client.send(id, &answer.payload);
                }
            }
        }
    }
}

/// Requests that wait for peers. The slot of one is its number on the links; free when every peer has answered.
#[derive(Default)]
struct Pending {
    slots: Vec<Waiting>,
    free: Vec<u32>,
}

struct Waiting {
    /// Whom to answer, and by which number; taken by the first answer.
    client: Option<(Rc<Outbox>, u32)>,
    /// Peers that have not answered.
    left: usize,
}

impl Pending {
    fn insert(&mut self, client: &Rc<Outbox>, id: u32, peers: usize) -> u32 {
        let waiting = Waiting { client: Some((client.clone(), id)), left: peers };
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = waiting;
                slot
            }
            None => {
                self.slots.push(waiting);
                self.slots.len() as u32 - 1
            }
        }
    }

    fn answered(&mut self, slot: u32) -> Option<(Rc<Outbox>, u32)> {
        let waiting = self.slots.get_mut(slot as usize)?;
        waiting.left = waiting.left.saturating_sub(1);
        if waiting.left == 0 {
            self.free.push(slot);
        }
        waiting.client.take()
    }
}

/// A, B and C, running. Killed when dropped.
pub struct Processes {
    children: Vec<Child>,
    coordinator: SocketAddr,
}

impl Processes {
    /// Starts B and, for writes, C; then A, which is told of them.
    pub fn start(direction: Direction, value_bytes: u32) -> Result<Processes, BenchError> {
        let (copies, answer_bytes) = match direction {
            Direction::Reads => (1, value_bytes),
            Direction::Writes => (2, 0),
        };
        let mut processes = Processes { children: Vec::new(), coordinator: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut peers = Vec::new();
        for _ in 0..copies {
            let address = processes.spawn(&["--answer-bytes".into(), answer_bytes.to_string()])?;
            peers.extend(["--peer".into(), address.to_string()]);
        }
        processes.coordinator = processes.spawn(&peers)?;
        Ok(processes)
    }

    /// A's address.
    pub fn coordinator(&self) -> SocketAddr {
        self.coordinator
    }

    fn spawn(&mut self, arguments: &[String]) -> Result<SocketAddr, BenchError> {
        let itself = std::env::current_exe().map_err(BenchError::io("find this program"))?;
        let mut child = Command::new(itself)
            .arg("floor-node")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::io("start a process of the floor"))?;
        let stdout = child.stdout.take().expect("it is piped");
        self.children.push(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(BenchError::io("hear from a process of the floor"))?;
        line.trim().parse().map_err(|_| BenchError::Cluster("a process of the floor did not start".into()))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
