//! The calling end of a link: dial, greet, carry until it breaks, pause, dial again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{CallError, Common, IDLE, LIMITS, Waiting, carry};
use crate::coordination::nookeeper::types::RaftId;
use crate::wire::dial::{DialError, dial};
use crate::wire::frame::FrameReader;
use crate::wire::handshake::{Hello, Keeper, Refusal, Role, Welcome};
use crate::wire::net::Stream;

/// First pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(25);
/// Longest pause: a peer that comes back is to be heard before the next election.
const PAUSE_MAX: Duration = Duration::from_millis(400);

pub(super) type Wire = (FrameReader<ReadHalf<Stream>>, WriteHalf<Stream>);

/// Keeps one link.
pub(super) struct Dialer {
    pub to: RaftId,
    pub address: watch::Receiver<String>,
    pub common: Arc<Common>,
    pub heard: watch::Sender<Option<Instant>>,
    pub rng: StdRng,
}

impl Dialer {
    /// Runs until the replica stops or nobody has called for a while.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Waiting>) {
        let mut stop = self.common.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => (),
            () = self.keep(&mut calls) => (),
        }
        calls.close();
        refuse_all(&mut calls, "the link has ended");
    }

    async fn keep(&mut self, calls: &mut mpsc::Receiver<Waiting>) {
        let mut pause = PAUSE_MIN;
        // Dialled only for a call: who has nothing to ask keeps no connection.
        while let Ok(Some(first)) = timeout(IDLE, calls.recv()).await {
            let reason = match self.dial().await {
                Ok(wire) => {
                    log::debug!("link to {} is up", self.to);
                    pause = PAUSE_MIN;
                    match carry::carry(wire, first, calls, &self.heard, &self.common.timing).await {
                        Ok(()) => continue,
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => {
                    let reason = format!("{} at {}: {error}", self.to, *self.address.borrow());
                    first.refuse(&reason);
                    reason
                }
            };
            log::debug!("link to {} is down: {reason}", self.to);
            refuse_all(calls, &reason);
            self.pause(calls, pause, &reason).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits before the next attempt, unless the peer has moved, and refuses what is called meanwhile.
    async fn pause(&mut self, calls: &mut mpsc::Receiver<Waiting>, pause: Duration, reason: &str) {
        let until = Instant::now() + pause.mul_f64(self.rng.random_range(0.5..1.0));
        loop {
            tokio::select! {
                biased;
                () = sleep_until(until) => return,
                Ok(()) = self.address.changed() => return,
                call = calls.recv() => match call {
                    Some(call) => call.refuse(reason),
                    None => return,
                },
            }
        }
    }

    async fn dial(&mut self) -> io::Result<Wire> {
        let address = self.address.borrow_and_update().clone();
        let hello = Hello::new(None, Role::Keeper(self.common.keeper.borrow().clone()));
        match dial(&address, &hello, self.common.timing.connect_timeout()).await {
            Ok((Welcome::Keeper { keeper, .. }, stream)) => {
                self.judge(&keeper)?;
                let (read, write) = split(stream);
                Ok((FrameReader::new(read, LIMITS), write))
            }
            Ok(_) => Err(io::Error::other("it answers as to an application")),
            Err(error) => {
                if let DialError::Refused(refusal) = &error {
                    self.note(refusal);
                }
                Err(error.into())
            }
        }
    }

    /// Whoever answers must be the store that was called: what one store promised binds no other one.
    fn judge(&self, keeper: &Keeper) -> io::Result<()> {
        let answers = RaftId { generation: keeper.generation, store: keeper.start.store };
        if answers != self.to {
            return Err(io::Error::other(format!("{answers} answers there")));
        }
        (self.common.judge)(keeper).map_err(io::Error::other)
    }

    /// Keeps a refusal that no further attempt will change. That the caller is a copy is told each time: it shows only by being
    /// said again and again, since the links of an earlier start may look like an original.
    fn note(&self, refusal: &Refusal) {
        use Refusal::{Cloned, OtherCluster, Recovered, RolledBack};
        if matches!(refusal, RolledBack { .. } | Cloned { .. } | OtherCluster { .. } | Recovered { .. }) {
            self.common.refused.send_if_modified(|known| {
                let is_new = known.as_ref() != Some(refusal);
                if is_new {
                    log::error!("{} refuses this store: {refusal}", self.to);
                    *known = Some(refusal.clone());
                }
                is_new || matches!(refusal, Cloned { .. })
            });
        }
    }
}

fn refuse_all(calls: &mut mpsc::Receiver<Waiting>, reason: &str) {
    while let Ok(call) = calls.try_recv() {
        call.refuse(reason);
    }
}

impl Waiting {
    pub(super) fn refuse(self, reason: &str) {
        // Who has given up needs no answer.
        let _ = self.answer.send(Err(CallError::NotSent(reason.into())));
    }
}
