//! One request, from the first attempt to its result.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::ClientError;
use super::link::{Ask, Link, LinkError, Rank, Told};
use super::retry::{Next, Outcome, judge};
use super::topology::{Topology, View};
use crate::core::id::Partition;
use crate::core::request::{Answer, Request};
use crate::wire::list::{ListPage, ListRequest};
use crate::wire::report::{Inspect, Inspection};

/// A read that has waited so long, or half its time, also asks another node.
const HEDGE_AFTER: Duration = Duration::from_millis(200);
/// A request waits this part of the connect timeout for a first connection while other nodes could be asked.
const PATIENCE: u32 = 4;
/// Pause before all nodes are tried again; it grows with each round.
const ROUND_PAUSE: Duration = Duration::from_millis(50);
/// A node that asks for no pause at all gets one.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The longest time a request may be given.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Does a request, and says who answered.
pub(crate) async fn perform(
    topology: &Arc<Topology>,
    request: Request,
    timeout: Option<Duration>,
) -> Result<(Answer, String), ClientError> {
    let timeout = timeout.unwrap_or(topology.settings().timeout).min(TIMEOUT_MAX);
    let mut attempts = Attempts::new(topology, timeout);
    loop {
        let view = topology.view();
        let Some(link) = view.pick(request.operation.key(), request.options.n, &attempts.tried) else {
            attempts.next_round().await?;
            continue;
        };
        let (link, outcome) = attempts.ask(&view, link, &request).await;
        match judge(request.operation.is_write(), link.address(), timeout, outcome) {
            Next::Finish(result) => return result.map(|answer| (answer, link.address().to_string())),
            Next::Unreached(reason) => attempts.unreached(link, reason),
            Next::Elsewhere(error) => attempts.elsewhere(link, error)?,
            Next::Learn(epoch, error) => {
                attempts.spend(error)?;
                // An old ring costs another detour, no more; the attempt that follows tells what is wrong.
                let _ = topology.learn(Some(epoch), Some(link), attempts.deadline).await;
                attempts.tried.clear();
            }
            Next::After(pause, error) => attempts.wait(pause, error).await?,
        }
    }
}

/// Asks for a page of a listing that has `done` so many partitions: an owner of the next one first, then any node.
pub(crate) async fn list(topology: &Arc<Topology>, request: &ListRequest, done: u32) -> Result<ListPage, ClientError> {
    let timeout = topology.settings().timeout;
    let mut attempts = Attempts::new(topology, timeout);
    loop {
        let view = topology.view();
        let ring = &view.report.ring;
        let partition = Partition((done % ring.partitions()) as u16);
        let Some(link) = view.pick_owner(partition, ring.replication, done as usize, &attempts.tried) else {
            attempts.next_round().await?;
            continue;
        };
        let outcome = match link.ask(Ask::List(request.clone()), attempts.deadline, None).await {
            Ok(Told::Listed { epoch, result }) => {
                topology.saw_epoch(epoch);
                Outcome::Answered(result)
            }
            other => unanswered(other),
        };
        match judge(false, link.address(), timeout, outcome) {
            Next::Finish(result) => return result,
            Next::Unreached(reason) => attempts.unreached(link, reason),
            Next::Elsewhere(error) | Next::Learn(_, error) => attempts.elsewhere(link, error)?,
            Next::After(pause, error) => attempts.wait(pause, error).await?,
        }
    }
}

/// Asks any node for a report.
pub(crate) async fn inspect_any(topology: &Arc<Topology>, what: Inspect) -> Result<Inspection, ClientError> {
    let timeout = topology.settings().timeout;
    let mut attempts = Attempts::new(topology, timeout);
    loop {
        let Some(link) = topology.view().pick_any(&attempts.tried) else {
            attempts.next_round().await?;
            continue;
        };
        match link.ask(Ask::Inspect(what.clone()), attempts.deadline, None).await {
            Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => attempts.unreached(link, reason),
            told => return shown(told, link.address(), timeout),
        }
    }
}

/// Asks this node for a report.
pub(crate) async fn inspect(link: &Link, what: Inspect, timeout: Duration) -> Result<Inspection, ClientError> {
    shown(link.ask(Ask::Inspect(what), Instant::now() + timeout, None).await, link.address(), timeout)
}

fn shown(told: Result<Told, LinkError>, address: &str, after: Duration) -> Result<Inspection, ClientError> {
    let address = address.to_string();
    match told {
        Ok(Told::Shown(result)) => Ok(*result?),
        Ok(Told::Answer { .. } | Told::Tree(_) | Told::Listed { .. }) => {
            Err(ClientError::Protocol { address, reason: "it answered an inspection as something else".into() })
        }
        Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => {
            Err(ClientError::Connect { tried: vec![(address, reason)] })
        }
        Err(LinkError::Late { .. }) => Err(ClientError::Timeout { address, after }),
    }
}

/// What came of an attempt that was not answered as it was asked.
fn unanswered<T>(told: Result<Told, LinkError>) -> Outcome<T> {
    match told {
        Ok(_) => Outcome::Lost("it answered something else than was asked".into()),
        Err(LinkError::NotSent(reason)) => Outcome::NotSent(reason),
        Err(LinkError::Lost(reason)) => Outcome::Lost(reason),
        Err(LinkError::Late { sent }) => Outcome::Late { sent },
    }
}

/// What a request has tried, and what it still may.
struct Attempts<'t> {
    topology: &'t Arc<Topology>,
    deadline: Instant,
    /// Nodes that were asked in this round.
    tried: Vec<Arc<Link>>,
    /// Who could not be reached in this round, and why.
    unreached: Vec<(String, String)>,
    /// The last answer that was no result.
    last: Option<ClientError>,
    rounds: u32,
    retries_left: u32,
}

impl<'t> Attempts<'t> {
    fn new(topology: &'t Arc<Topology>, timeout: Duration) -> Attempts<'t> {
        Attempts {
            topology,
            deadline: Instant::now() + timeout,
            tried: Vec::new(),
            unreached: Vec::new(),
            last: None,
            rounds: 0,
            retries_left: topology.settings().retries,
        }
    }

    /// Asks a node. A read that waits long asks a second one too, and takes what comes first.
    async fn ask(&self, view: &View, link: Arc<Link>, request: &Request) -> (Arc<Link>, Outcome<Answer>) {
        let first = self.attempt(view, &link, request);
        if request.operation.is_write() {
            return (link.clone(), first.await);
        }
        tokio::pin!(first);
        let patience = HEDGE_AFTER.min(self.deadline.saturating_duration_since(Instant::now()) / 2);
        tokio::select! {
            biased;
            outcome = &mut first => return (link.clone(), outcome),
            () = sleep(patience) => link.was_slow(),
        }
        let Some(other) = self.alternative(view, &link, request) else {
            return (link.clone(), first.await);
        };
        let second = self.attempt(view, &other, request);
        tokio::pin!(second);
        tokio::select! {
            biased;
            outcome = &mut first => match outcome {
                Outcome::Answered(Ok(_)) => (link.clone(), outcome),
                _ => (other.clone(), second.await),
            },
            outcome = &mut second => match outcome {
                Outcome::Answered(Ok(_)) => (other.clone(), outcome),
                _ => (link.clone(), first.await),
            },
        }
    }

    async fn attempt(&self, view: &View, link: &Arc<Link>, request: &Request) -> Outcome<Answer> {
        let ask = Ask::Call { epoch: view.report.ring.epoch, request: request.clone() };
        let waits = !link.is_connected() && self.alternative(view, link, request).is_some();
        let patience = waits.then(|| self.topology.settings().connect_timeout / PATIENCE);
        match link.ask(ask, self.deadline, patience).await {
            Ok(Told::Answer { epoch, result }) => {
                self.topology.saw_epoch(epoch);
                Outcome::Answered(result)
            }
            other => unanswered(other),
        }
    }

    /// Another node that could be asked at once.
    fn alternative(&self, view: &View, link: &Arc<Link>, request: &Request) -> Option<Arc<Link>> {
        let tried: Vec<_> = self.tried.iter().chain([link]).cloned().collect();
        view.pick(request.operation.key(), request.options.n, &tried).filter(|other| other.rank() == Rank::Ready)
    }

    fn unreached(&mut self, link: Arc<Link>, reason: String) {
        self.unreached.push((link.address().into(), reason));
        self.tried.push(link);
        self.topology.saw_failure();
    }

    /// Goes on with the other nodes; the answer is the result if there is none.
    fn elsewhere(&mut self, link: Arc<Link>, error: ClientError) -> Result<(), ClientError> {
        self.tried.push(link);
        self.topology.saw_failure();
        if self.topology.view().pick_any(&self.tried).is_none_or(|other| other.rank() != Rank::Ready) {
            return Err(error);
        }
        self.last = Some(error.clone());
        self.spend(error)
    }

    /// Takes one of the retries, or gives up.
    fn spend(&mut self, error: ClientError) -> Result<(), ClientError> {
        let left = self.retries_left.checked_sub(1).filter(|_| Instant::now() < self.deadline);
        self.retries_left = left.ok_or(error)?;
        Ok(())
    }

    /// All nodes were tried: tries them again after a while, or gives up.
    async fn next_round(&mut self) -> Result<(), ClientError> {
        let error = match self.last.take() {
            Some(error) => error,
            None => ClientError::Connect { tried: std::mem::take(&mut self.unreached) },
        };
        self.rounds += 1;
        self.spend(error.clone())?;
        let pause = self.topology.jittered(ROUND_PAUSE * self.rounds);
        self.wait(pause, error).await?;
        self.unreached.clear();
        self.tried.clear();
        Ok(())
    }

    async fn wait(&mut self, pause: Duration, error: ClientError) -> Result<(), ClientError> {
        let until = Instant::now() + pause.max(WAIT_MIN);
        if until >= self.deadline {
            return Err(error);
        }
        sleep_until(until).await;
        Ok(())
    }
}
