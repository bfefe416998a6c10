//! What the node above a replica does for it: registers its start, and says who should take part.
//!
//! It stands for the MembershipWatcher, which follows the same registry.

use std::sync::Arc;
use std::time::Duration;

use kv::config::Config;
use kv::coordination::api::{self, Service, Session};
use kv::coordination::nookeeper::Nookeeper;
use kv::coordination::registry::{self, Joiner};
use kv::node::bootstrap::{Ending, Reception};
use kv::node::env::Env;
use tokio::time::sleep;

/// Between two looks at the registry.
const PAUSE: Duration = Duration::from_millis(400);

/// A node that belongs to the cluster.
pub struct Member {
    pub nookeeper: Nookeeper,
    pub reception: Arc<Reception>,
    pub config: Arc<Config>,
    pub env: Env,
}

impl Member {
    /// Until the cluster takes the node no more.
    pub async fn belong(&self) -> Ending {
        let timeout = Duration::from_millis(self.config.cluster.coordination.session_timeout_ms);
        loop {
            if let Ok(session) = self.nookeeper.open(timeout).await
                && let Some(ending) = self.follow(&*session).await
            {
                return ending;
            }
            sleep(PAUSE).await;
        }
    }

    /// Until the session has ended; answers why, if the node has as well.
    async fn follow(&self, session: &dyn Session) -> Option<Ending> {
        loop {
            match self.look(session).await {
                Err(registry::Error::Verdict(verdict)) => return Some(verdict.into()),
                Err(registry::Error::Service(api::Error::SessionExpired)) => return None,
                // The service has no leader, or there is no cluster yet.
                Err(_) | Ok(()) => sleep(PAUSE).await,
            }
        }
    }

    async fn look(&self, session: &dyn Session) -> Result<(), registry::Error> {
        let me = self.reception.me();
        let address = self.config.node.advertise.clone();
        let joiner = Joiner { cluster: me.cluster, node: me.node, start: me.start, address, zone: None, weight: None };
        registry::register(session, &joiner, self.env.wall_ms()).await?;
        let view = registry::read(session).await?;
        self.reception.learn(view.stores.clone());
        self.nookeeper.set_roster(view.roster());
        Ok(session.renew().await?)
    }
}
