//! What ties a running node to its cluster: the session, the lease, and the ring that follows from the service.
//!
//! It begins with the first ring that the node may serve by. A node that was a member before has the last known one at home and
//! needs nobody's answer; only a new one waits for the service. From then on the MembershipWatcher brings what changes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::bootstrap::{Citizen, Ending, Reception, SharedHome, Thread, lock, refused_for_good};
use super::driver::Driver;
use super::env::Env;
use super::lease::Lease;
use super::membership_watcher::{LastKnown, Leave, Listener, MembershipWatcher, WatcherParts};
use super::ring_manager::{NewMembership, RingManager};
use super::start::{StartError, Stop};
use super::transfer::{Presence, Watched};
use super::view::SharedRing;
use crate::config::Config;
use crate::coordination::nookeeper::Nookeeper;
use crate::coordination::registry::{self, Joiner, Verdict, View};
use crate::coordination::status::SharedStatus;
use crate::coordination::{Membership, SharedSession};
use crate::core::ring::Ring;

/// Between two attempts to tell operators of a copy.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// A node's ties to its cluster.
pub struct Belonging {
    /// Who owns what.
    pub ring: SharedRing,
    /// Publishes it.
    pub ring_manager: Addr<RingManager>,
    /// How long strict requests may be served.
    pub lease: Lease,
    /// With the coordination service.
    pub session: SharedSession,
    /// How the service is, for operators.
    pub status: SharedStatus,
    /// Who is live, as the service has it.
    pub presence: Watched,
    /// The embedded service's replica in this node, if it uses that.
    pub nookeeper: Option<Nookeeper>,
    watcher: Addr<MembershipWatcher>,
    ended: watch::Receiver<Option<Ending>>,
    thread: Thread,
}

impl Belonging {
    /// Begins to follow the cluster; returns with the first ring.
    pub async fn begin(
        citizen: &Citizen,
        home: SharedHome,
        reception: Arc<Reception>,
        env: &Env,
    ) -> Result<Belonging, StartError> {
        let config = &citizen.config;
        let (lease, session) = (Lease::none(), citizen.session.clone());
        let (publish, first) = oneshot::channel();
        let (store, observing) = (reception.me().start.store, env.clone());
        let tell = move |ring: &Ring| {
            if let Some(observer) = observing.observer() {
                observer.published(store, ring);
            }
        };
        let ring_manager = env.start(0, move |_| RingManager::new(publish, tell));
        let last_known = Arc::new(RingAtHome { home, thread: citizen.thread.clone() });
        if let Some(known) = last_known.load() {
            log::info!("the last known ring, epoch {}, is good enough to begin with", known.epoch);
            ring_manager.do_send(NewMembership(known));
        }
        let nookeeper = reception.nookeeper.get().cloned();
        let (end, ended) = watch::channel(None);
        let driver = Driver::start(store, session.clone(), env.clone());
        let (tell_presence, presence) = watch::channel(None);
        let listener = Neighbours {
            reception: reception.clone(),
            nookeeper: nookeeper.clone(),
            driver,
            presence: tell_presence,
            end: end.clone(),
        };
        let parts = WatcherParts {
            service: citizen.service.clone(),
            joiner: joiner(config, &reception),
            timeout: Duration::from_millis(config.cluster.coordination.session_timeout_ms),
            config: config.clone(),
            lease: lease.clone(),
            session: session.clone(),
            last_known,
            ring_manager: ring_manager.clone(),
            listener: Arc::new(listener),
            env: env.clone(),
        };
        let watcher = env.start(0, move |_| MembershipWatcher::new(parts));
        if let Some(nookeeper) = &nookeeper {
            let refused = nookeeper.refused();
            actix_rt::spawn(async move { end_with(&end, refused_for_good(refused).await) });
        }
        actix_rt::spawn(tell_of_copies(reception.clone(), session.clone()));
        reception.wait_for("it waits for the coordination service to tell it the ring".into());
        let ring = tokio::select! {
            biased;
            ring = first => ring.map_err(|_| StartError::NoRing)?,
            ending = ending(ended.clone()) => return Err(ending.into()),
        };
        let thread = citizen.thread.clone();
        Ok(Belonging {
            ring,
            ring_manager,
            lease,
            session,
            status: citizen.status.clone(),
            presence,
            nookeeper,
            watcher,
            ended,
            thread,
        })
    }

    /// Resolves when the node cannot go on as it is.
    pub fn ended(&self) -> impl Future<Output = Ending> + use<> {
        ending(self.ended.clone())
    }

    /// Leaves the service: the session is closed, so that the others know at once, and the replica ends.
    pub async fn end(self) {
        // An error says that it has stopped already.
        let _ = self.watcher.send(Leave).await;
        self.watcher.do_send(Stop);
        self.ring_manager.do_send(Stop);
        if let Some(nookeeper) = self.nookeeper {
            self.thread.run(async move { nookeeper.stop().await }).await;
        }
    }
}

/// What this node registers.
fn joiner(config: &Config, reception: &Reception) -> Joiner {
    let me = reception.me();
    Joiner {
        cluster: me.cluster,
        node: me.node,
        start: me.start,
        address: config.node.advertise.clone(),
        zone: None,
        weight: None,
    }
}

/// Waits for the reason.
async fn ending(mut ended: watch::Receiver<Option<Ending>>) -> Ending {
    match ended.wait_for(Option::is_some).await.map(|ending| ending.clone()) {
        Ok(Some(ending)) => ending,
        _ => std::future::pending().await,
    }
}

fn end_with(end: &watch::Sender<Option<Ending>>, ending: Ending) {
    // The first reason counts.
    end.send_if_modified(|end| end.is_none() && end.replace(ending).is_none());
}

/// Raises the alarms about copies that this node refused, in its own session, for as long as the node runs.
async fn tell_of_copies(reception: Arc<Reception>, session: SharedSession) {
    loop {
        let (store, alarm) = reception.suspects.next().await;
        let raised = match session.load_full() {
            Some(session) => registry::raise(&**session, store, alarm).await.map_err(|error| error.to_string()),
            None => Err("this node has no session with the coordination service".into()),
        };
        if let Err(reason) = raised {
            log::warn!("a copy of store {store} was refused, but operators cannot be told yet: {reason}");
            reception.suspects.put_back(store);
            sleep(TELL_AGAIN).await;
        }
    }
}

/// Keeps the last known ring at home. The coordination thread waits for the disk.
struct RingAtHome {
    home: SharedHome,
    thread: Thread,
}

impl RingAtHome {
    fn load(&self) -> Option<Membership> {
        let content = lock(&self.home).load_ring()?;
        registry::decode_membership(&content).map_err(|error| log::warn!("{error}")).ok()
    }
}

impl LastKnown for RingAtHome {
    fn save(&self, membership: &Membership) {
        let (home, membership) = (self.home.clone(), membership.clone());
        self.thread.spawn(async move {
            let saved = registry::encode_membership(&membership).map(|content| lock(&home).save_ring(&content));
            match saved {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::error!("the ring is not kept for the next start: {error}"),
                Err(error) => log::error!("the ring is not kept for the next start: {error}"),
            }
        });
    }
}

/// Who else lives by what the watcher sees: the door, the replica of the embedded service, the driver, and who moves partitions.
struct Neighbours {
    reception: Arc<Reception>,
    nookeeper: Option<Nookeeper>,
    driver: Driver,
    presence: watch::Sender<Option<Arc<Presence>>>,
    end: watch::Sender<Option<Ending>>,
}

impl Listener for Neighbours {
    fn seen(&self, view: &Arc<View>) {
        self.reception.learn(view.stores.clone());
        if let Some(nookeeper) = &self.nookeeper {
            nookeeper.set_roster(view.roster());
        }
        self.driver.seen(view);
        // Also if the same nodes are live: the ring may be another one.
        self.presence.send_replace(Some(Arc::new(Presence::of(view))));
    }

    fn refused(&self, verdict: &Verdict) {
        end_with(&self.end, verdict.clone().into());
    }
}
