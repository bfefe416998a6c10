//! One session after the other.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{sleep, timeout};

use super::WatcherParts;
use crate::coordination::api::{self, Session, SessionState, Watch};
use crate::coordination::registry::{self, Admitted, Error};
use crate::coordination::watch::Watched;
use crate::core::id::{Epoch, Start};
use crate::mutant;
use crate::node::env::Purpose;
use crate::node::ring_manager::{Adopt, NewMembership};

/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A session is renewed so often within its timeout.
const RENEWALS: u32 = 4;
/// After a renewal that failed the next one comes so much sooner.
const RENEWALS_IN_TROUBLE: u32 = 16;
/// The random stream of the pauses, apart from those of the links.
const PLACE: u64 = u64::MAX;

/// Why a session is given up.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Registry(#[from] Error),
    #[error("no answer in {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    #[error("{0}")]
    Ring(#[from] crate::node::ring_manager::NotPublished),
    #[error("the node is stopping")]
    Stopping(#[from] actix::MailboxError),
}

impl From<api::Error> for Ended {
    fn from(error: api::Error) -> Ended {
        Ended::Registry(error.into())
    }
}

/// Holds sessions until the registry says that this store is not the node's any more, or the node stops.
pub(super) async fn hold_sessions(parts: WatcherParts) {
    let rng = parts.env.rng(PLACE, Purpose::Reconnect);
    let mut watcher = Watcher { pauses: Pauses { rng, next: PAUSE_MIN }, saved: None, compared: false, parts };
    loop {
        let Err(ended) = watcher.hold_session().await;
        // All that could extend it is gone with the session.
        watcher.parts.lease.end();
        let session = watcher.parts.session.swap(None);
        match ended {
            Ended::Registry(Error::Verdict(verdict)) => {
                log::info!("this node does not go on as it is: {verdict}");
                return watcher.parts.listener.refused(&verdict);
            }
            Ended::Stopping(_) => return,
            ended => log::warn!("this node has no session with the coordination service: {ended}"),
        }
        if let Some(session) = session {
            // Whatever is left of it is of no use any more; the service ends it by its timeout if this does not reach it.
            drop(timeout(PAUSE_MAX, session.close()).await);
        }
        watcher.pauses.pause().await;
    }
}

struct Watcher {
    parts: WatcherParts,
    pauses: Pauses,
    /// The newest ring that was kept.
    saved: Option<Epoch>,
    /// Whether the configuration was compared with what the service keeps.
    compared: bool,
}

impl Watcher {
    /// Opens a session and takes part until it ends. It is published from the beginning, so that it can be closed.
    async fn hold_session(&mut self) -> Result<Infallible, Ended> {
        let patience = self.parts.timeout;
        let opened = timeout(patience, self.parts.service.open(patience)).await;
        let session = Arc::new(opened.map_err(|_| Ended::NoAnswer(patience))??);
        let mut state = session.state();
        self.parts.session.store(Some(session.clone()));
        tokio::select! {
            biased;
            _ = state.wait_for(|state| *state == SessionState::Expired) => Err(api::Error::SessionExpired.into()),
            ended = self.take_part(&**session) => ended,
        }
    }

    async fn take_part(&mut self, session: &dyn Session) -> Result<Infallible, Ended> {
        let patience = self.parts.timeout;
        let (admitted, watch) =
            timeout(patience, self.arrive(session)).await.map_err(|_| Ended::NoAnswer(patience))??;
        log::info!("node {} holds session {} with the coordination service", admitted.node, session.id());
        self.pauses.reset();
        let (parts, granted) = (self.parts.clone(), session.timeout());
        tokio::select! {
            biased;
            ended = renew(&parts, session, granted) => ended,
            ended = self.follow(session, &admitted, watch) => ended,
        }
    }

    /// What comes before the first strict request: the service is caught up with, the start registered, the ring loaded and
    /// acknowledged, and only then the lease extended.
    async fn arrive(&mut self, session: &dyn Session) -> Result<(Admitted, Box<dyn Watch>), Ended> {
        session.sync().await?;
        let admitted = registry::register(session, &self.parts.joiner, self.parts.env.wall_ms()).await?;
        let root = registry::ROOT.parse().map_err(|error| Error::Invalid { reason: format!("{error}") })?;
        let watch = session.watch(&root, Watched::Subtree).await?;
        self.refresh(session, &admitted).await?;
        self.parts.lease.renew(&self.parts.env, session.timeout(), session.renew()).await?;
        Ok((admitted, watch))
    }

    /// Reads the registry after each change.
    async fn follow(
        &mut self,
        session: &dyn Session,
        admitted: &Admitted,
        mut watch: Box<dyn Watch>,
    ) -> Result<Infallible, Ended> {
        loop {
            watch.changed().await?;
            while let Err(ended) = self.refresh(session, admitted).await {
                match ended {
                    Ended::Registry(error) if error.retryable() => log::info!("the registry is read again: {error}"),
                    ended => return Err(ended),
                }
                self.pauses.pause().await;
            }
            self.pauses.reset();
        }
    }

    /// Reads the registry, judges oneself, and passes on what is new. The ring is acknowledged once this node works by it alone.
    async fn refresh(&mut self, session: &dyn Session, admitted: &Admitted) -> Result<(), Ended> {
        let parts = &self.parts;
        let start = Start { store: admitted.store, ..parts.joiner.start };
        loop {
            let view = Arc::new(registry::read(session).await?);
            registry::judge(view.stores.get(&start.store), start).map_err(Error::from)?;
            let membership = view.membership();
            let epoch = membership.epoch;
            parts.ring_manager.send(NewMembership(membership.clone())).await??;
            if self.saved != Some(epoch) {
                parts.last_known.save(&membership);
                self.saved = Some(epoch);
            }
            if !std::mem::replace(&mut self.compared, true) {
                registry::differences(&view, &parts.config.cluster).iter().for_each(|told| log::warn!("{told}"));
            }
            parts.listener.seen(&view);
            if !mutant!(AcknowledgeWithWritesInFlight) {
                parts.ring_manager.send(Adopt).await?;
            }
            let is_member = view.ring.members.iter().any(|member| member.store == start.store);
            if is_member && registry::acknowledge(session, admitted.node, epoch).await? {
                return Ok(());
            }
            // Somebody deleted the live entry, or took this node for gone and out of the ring.
            registry::register(session, &parts.joiner, parts.env.wall_ms()).await?;
        }
    }
}

/// Renews the session, and with it the lease, from the sending of each renewal. One without an answer is given up and sent anew.
async fn renew(parts: &WatcherParts, session: &dyn Session, granted: Duration) -> Result<Infallible, Ended> {
    let (usual, in_trouble) = (granted / RENEWALS, granted / RENEWALS_IN_TROUBLE);
    let mut pause = usual;
    loop {
        sleep(pause).await;
        let renewal = parts.lease.renew(&parts.env, granted, session.renew());
        pause = match timeout(usual, renewal).await {
            Ok(Ok(())) => usual,
            Ok(Err(api::Error::SessionExpired)) => return Err(api::Error::SessionExpired.into()),
            Ok(Err(error)) => {
                log::info!("the session was not renewed: {error}");
                in_trouble
            }
            Err(_) => {
                log::info!("the session was not renewed: no answer in {} ms", usual.as_millis());
                in_trouble
            }
        };
    }
}

/// Growing pauses with jitter, so that nodes that failed together do not try again together.
struct Pauses {
    rng: StdRng,
    next: Duration,
}

impl Pauses {
    async fn pause(&mut self) {
        let pause = self.next.mul_f64(self.rng.random_range(0.5..=1.0));
        self.next = (self.next * 2).min(PAUSE_MAX);
        sleep(pause).await;
    }

    fn reset(&mut self) {
        self.next = PAUSE_MIN;
    }
}
