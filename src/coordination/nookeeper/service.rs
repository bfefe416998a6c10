//! The replica in this process, as a handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{InitializeError, RaftError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::ask::Asker;
use super::contact::Contact;
use super::elections::Outlogged;
use super::leader::Leader;
use super::link::message::{self, Answer, Call, RaftCall};
use super::link::{Common, Links, serve};
use super::network::{self, Networks};
use super::session;
use super::store::{self, OpenError};
use super::timing::Timing;
use super::types::{Endpoint, RaftId, Roster, Types};
use super::{Judge, elections, roster};
use crate::coordination::api::{self, Service, Session};
use crate::coordination::state::State;
use crate::wire::handshake::{Keeper, Refusal};
use crate::wire::net::Detached;

/// What a replica is made of.
pub struct Parts {
    /// Under which name it takes part.
    pub own: RaftId,
    /// Where others reach it.
    pub endpoint: Endpoint,
    /// What it says of itself when it dials. Its store and generation are those of `own`.
    pub keeper: Keeper,
    /// Where it stores the log, its vote and snapshots. Of one replica for ever: another one's must not be found in it.
    pub database: redb::Database,
    /// Its pace.
    pub timing: Timing,
    /// Of its chance: when it asks to be elected, and how long it pauses before it dials again. Different for each replica,
    /// and at each start.
    pub seed: u64,
    /// Judges who answers a dial.
    pub judge: Judge,
}

/// Why a replica did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it stored cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The pace makes no sense.
    #[error("the timing of the coordination service: {0}")]
    Timing(#[from] openraft::ConfigError),
    /// Its Raft did not come up.
    #[error("the coordination service does not start: {0}")]
    Raft(#[from] openraft::error::Fatal<RaftId>),
}

/// Why there is no new service.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// It was founded before, with others, or has changed since.
    #[error("the coordination service was founded already, with {}", list(voters))]
    Founded {
        /// Who votes in it.
        voters: BTreeMap<RaftId, Endpoint>,
    },
    /// Who founds takes part.
    #[error("{own} is not among the founders")]
    NotAFounder {
        /// This replica.
        own: RaftId,
    },
    /// This replica takes no part any more.
    #[error("the coordination service has failed here: {cause}")]
    Failed {
        /// Why.
        cause: String,
    },
}

fn list(voters: &BTreeMap<RaftId, Endpoint>) -> String {
    let voters = voters.iter().map(|(id, endpoint)| format!("{id} at {}", endpoint.address));
    Vec::from_iter(voters).join(", ")
}

/// The replica in this process. Clones are the same; any thread may use them.
#[derive(Clone)]
pub struct Nookeeper(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) raft: openraft::Raft<Types>,
    pub(super) asker: Arc<Asker>,
    pub(super) contact: Arc<Contact>,
    wish: watch::Sender<Option<Roster>>,
    refused: watch::Receiver<Option<Refusal>>,
    stop: watch::Sender<bool>,
    /// Where it lives.
    runtime: Handle,
}

impl Nookeeper {
    /// Starts a replica on the runtime that this is polled on, which must have its timers and sockets.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(parts: Parts) -> Result<Nookeeper, StartError> {
        let Parts { own, endpoint, keeper, database, timing, seed, judge } = parts;
        let (log, machine) = store::open(database)?;
        let replica = machine.replica();
        let (stop, stopped) = watch::channel(false);
        let (refusals, refused) = watch::channel(None);
        let runtime = Handle::current();
        let links = Arc::new(Links::new(Common {
            own,
            judge,
            timing: timing.clone(),
            runtime: runtime.clone(),
            seed,
            keeper: watch::channel(keeper).0,
            refused: refusals,
            stop: stopped.clone(),
        }));
        let outlogged = Outlogged::default();
        let networks = Networks { links: links.clone(), timing: timing.clone(), outlogged: outlogged.clone() };
        let config = Arc::new(timing.raft().validate()?);
        let raft = openraft::Raft::new(own, config, networks, log, machine).await?;
        // Answered when what was stored is loaded and shows in the metrics.
        raft.is_initialized().await?;
        let leader = Arc::new(Leader::new(own, raft.clone(), replica.clone(), timing.clone()));
        let contact = Arc::new(Contact::new(own, raft.clone(), replica.clone(), timing.clone()));
        let (raft_too, stop_too) = (raft.clone(), stopped.clone());
        let asker = Arc::new(Asker { own, raft: raft_too, replica, leader, links, timing, stop: stop_too });
        let wish = watch::channel(None).0;
        let rng = StdRng::seed_from_u64(seed);
        runtime.spawn(housekeeping(asker.clone(), contact.clone(), wish.subscribe(), outlogged, rng, stopped));
        Ok(Nookeeper(Arc::new(Inner { endpoint, raft, asker, contact, wish, refused, stop, runtime })))
    }

    /// Whether this replica belongs to a service: it founded one, or one has taken it in.
    pub fn is_founded(&self) -> bool {
        let metrics = self.0.raft.server_metrics();
        let membership = metrics.borrow().membership_config.clone();
        membership.membership().voter_ids().next().is_some()
    }

    /// Founds a service with these voters. All of them, or any one, may do so; repeating it with the same is no harm.
    ///
    /// # Errors
    /// [`FoundError`].
    pub async fn found(&self, voters: BTreeMap<RaftId, Endpoint>) -> Result<(), FoundError> {
        match self.0.raft.initialize(voters.clone()).await {
            Ok(()) => Ok(()),
            Err(RaftError::Fatal(fatal)) => Err(FoundError::Failed { cause: fatal.to_string() }),
            Err(RaftError::APIError(InitializeError::NotInMembers(_))) => {
                Err(FoundError::NotAFounder { own: self.0.asker.own })
            }
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                let present = self.voters();
                if present == voters { Ok(()) } else { Err(FoundError::Founded { voters: present }) }
            }
        }
    }

    /// Says who should take part and where everybody is. Every replica takes the addresses from it; the one that leads
    /// changes the membership, step by step, until it is so. What this was told last counts.
    pub fn set_roster(&self, roster: Roster) {
        self.0.asker.links.set_roster(&roster);
        self.0.wish.send_replace(Some(roster));
    }

    /// What this replica says of itself from now on when it dials: it has joined a cluster, or has got a number.
    pub fn set_keeper(&self, keeper: Keeper) {
        self.0.asker.links.set_keeper(keeper);
    }

    /// Serves a coordination link on which `from` was welcomed, on the replica's own runtime. Returns at once.
    pub fn serve(&self, from: Keeper, stream: Detached) {
        let service = self.clone();
        let mut stop = self.0.stop.subscribe();
        let caller = RaftId { generation: from.generation, store: from.start.store };
        self.0.runtime.spawn(async move {
            let served = async {
                let answer = |body| {
                    let service = service.clone();
                    async move { service.answer(caller, body).await }
                };
                serve::serve(stream.attach()?, answer).await
            };
            let served = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Ok(()),
                served = served => served,
            };
            if let Err(error) = served {
                log::debug!("coordination link from {caller} closed: {error}");
            }
        });
    }

    /// Looks at the state that this replica shows, which may be old. Whoever looks holds up the service, so it should be
    /// short.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.0.asker.replica.read(look)
    }

    /// A refusal by another replica that no further attempt will change: this store was rolled back, is a copy, or belongs
    /// to another cluster, or to this one before it was recovered by force.
    pub fn refused(&self) -> watch::Receiver<Option<Refusal>> {
        self.0.refused.clone()
    }

    /// Ends the replica. Sessions that were opened here live on with the others until their timeout; calls fail.
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        self.0.contact.tell(false);
        if let Err(error) = self.0.raft.shutdown().await {
            log::error!("the coordination service did not end properly: {error}");
        }
    }

    /// Answers another replica; `None` if the call is malformed.
    pub(super) async fn answer(&self, caller: RaftId, body: Bytes) -> Option<Bytes> {
        let answer = match message::decode(&body).ok()? {
            Call::Ask(ask) => Answer::Told(self.0.asker.leader.answer(ask).await),
            Call::Raft(call) => self.answer_raft(caller, call).await,
        };
        Some(message::encode(&answer))
    }

    async fn answer_raft(&self, caller: RaftId, call: RaftCall) -> Answer {
        let vote = match &call {
            RaftCall::Append(request) => request.vote,
            RaftCall::Vote(request) => request.vote,
            RaftCall::Snapshot(piece) => piece.vote,
        };
        if vote.leader_id().voted_for() != Some(caller) {
            return Answer::Failed { cause: format!("{caller} speaks for another: {vote}") };
        }
        let answer = network::answer(&self.0.raft, call).await;
        let follows = match &answer {
            Answer::Append(response) => !matches!(response, openraft::raft::AppendEntriesResponse::HigherVote(_)),
            Answer::Snapshot(response) => response.vote == vote,
            _ => false,
        };
        if follows {
            self.0.contact.touch();
        }
        answer
    }

    pub(super) fn voters(&self) -> BTreeMap<RaftId, Endpoint> {
        let metrics = self.0.raft.server_metrics();
        let membership = metrics.borrow().membership_config.clone();
        let membership = membership.membership();
        let endpoint = |id| membership.get_node(&id).map(|node| (id, node.clone()));
        membership.voter_ids().filter_map(endpoint).collect()
    }
}

impl Service for Nookeeper {
    fn open(&self, timeout: Duration) -> api::Answer<'_, Box<dyn Session>> {
        Box::pin(session::open(self.0.asker.clone(), timeout))
    }
}

/// All that goes on without being asked for, until the replica stops.
async fn housekeeping(
    asker: Arc<Asker>,
    contact: Arc<Contact>,
    wish: watch::Receiver<Option<Roster>>,
    outlogged: Outlogged,
    rng: StdRng,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => (),
        () = contact.watch() => (),
        () = elections::stand(asker.own, &asker.raft, &contact, &asker.timing, &outlogged, rng) => (),
        () = asker.leader.end_sessions() => (),
        () = roster::follow(asker.own, &asker.raft, &asker.links, wish, &asker.timing) => (),
    }
}
