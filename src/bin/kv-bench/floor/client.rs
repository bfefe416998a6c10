//! The client of the floor: a closed loop over bare messages.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::link::{self, Flusher, Inbox, Outbox};
use crate::BenchError;
use crate::measure::{Load, Measured, Recorder};

/// Runs `load` against a coordinator; each request carries `request_bytes`.
pub async fn run(coordinator: SocketAddr, request_bytes: usize, load: &Load) -> Result<Measured, BenchError> {
    LocalSet::new().run_until(run_local(coordinator, request_bytes, load)).await
}

async fn run_local(coordinator: SocketAddr, request_bytes: usize, load: &Load) -> Result<Measured, BenchError> {
    let flusher = Rc::new(Flusher::default());
    tokio::task::spawn_local(flusher.clone().run());
    let mut connections = Vec::new();
    for _ in 0..load.clients {
        let stream = TcpStream::connect(coordinator).await.map_err(BenchError::io("connect to the floor"))?;
        connections.push(link::open(stream, &flusher).map_err(BenchError::io("set TCP_NODELAY"))?);
    }
    let recorder = Rc::new(RefCell::new(Recorder::new(load)));
    let loops: Vec<_> = connections
        .into_iter()
        .map(|(inbox, outbox)| {
            tokio::task::spawn_local(keep_going(inbox, outbox, request_bytes, load.in_flight, recorder.clone()))
        })
        .collect();
    for one in loops {
        one.await.expect("no loop panics").map_err(BenchError::io("a process of the floor"))?;
    }
    let recorder = Rc::into_inner(recorder).expect("all loops have ended");
    Ok(recorder.into_inner().measured())
}

/// One connection: as many new requests as there were answers in a read. A request's number is its place among those in flight.
async fn keep_going(
    mut inbox: Inbox,
    outbox: Rc<Outbox>,
    request_bytes: usize,
    in_flight: usize,
    recorder: Rc<RefCell<Recorder>>,
) -> std::io::Result<()> {
    let payload = vec![b'v'; request_bytes];
    let mut sent = vec![Instant::now(); in_flight];
    (0..in_flight).for_each(|id| outbox.send(id as u32, &payload));
    let (mut outstanding, mut answers) = (in_flight, Vec::new());
    while outstanding > 0 {
        if !inbox.read(&mut answers).await? {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let now = Instant::now();
        let mut recorder = recorder.borrow_mut();
        for answer in answers.drain(..) {
            let started = sent.get_mut(answer.id as usize).ok_or(std::io::ErrorKind::InvalidData)?;
            recorder.met(*started, now);
            if recorder.open(now) {
                *started = now;
                outbox.send(answer.id, &payload);
            } else {
                outstanding -= 1;
            }
        }
    }
    Ok(())
}
