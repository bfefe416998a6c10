//! Entering a cluster whose coordination service is elsewhere: a ZooKeeper, or whatever a test provides.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use super::{Bootstrap, BootstrapError, draw, founding, register};
use crate::coordination::api::{self, Service, Session};
use crate::coordination::registry;
use crate::coordination::tree::PathError;
use crate::coordination::zookeeper::ZooKeeper;
use crate::core::id::ClusterId;
use crate::wire::join::Admission;

impl Bootstrap {
    /// The ZooKeeper that the configuration names.
    pub(super) fn zookeeper(&self) -> Result<ZooKeeper, BootstrapError> {
        let config = &self.config.cluster;
        let root = config
            .coordination_root()
            .parse()
            .map_err(|error: PathError| BootstrapError::Service(error.to_string()))?;
        let servers = config.coordination.servers.join(",");
        let zookeeper = ZooKeeper::new(&servers, root).map_err(|error| BootstrapError::Service(error.to_string()))?;
        // Servers that are silent are found out one after the other, and meanwhile an operator looks at the log.
        self.reception.wait_for(format!("it waits for an answer of ZooKeeper at {servers}"));
        Ok(zookeeper)
    }

    /// Becomes a member if the store is not one.
    pub(super) async fn enter_external(&mut self, service: &dyn Service) -> Result<(), BootstrapError> {
        let timeout = Duration::from_millis(self.config.cluster.coordination.session_timeout_ms);
        while !self.is_member() {
            let reason = match service.open(timeout).await {
                Ok(session) => {
                    let entered = self.enter_through(&*session).await;
                    // It ends by itself as well.
                    let _ = session.close().await;
                    match entered {
                        Ok(admission) => {
                            self.adopt(admission)?;
                            break;
                        }
                        Err(error) if error.retryable() => error.to_string(),
                        Err(error) => return Err(BootstrapError::Refused(error.to_string())),
                    }
                }
                Err(api::Error::ConnectionLoss { cause }) => cause,
                Err(error) => error.to_string(),
            };
            self.reception.wait_for(format!("it waits to be let into a cluster ({reason})"));
            self.pause().await;
        }
        Ok(())
    }

    /// Makes the cluster if the configuration says so and there is none, then has the store admitted.
    async fn enter_through(&mut self, session: &dyn Session) -> Result<Admission, registry::Error> {
        if self.config.cluster.coordination.bootstrap {
            let (own, store) = (self.config.node.id, self.start().store);
            let id = ClusterId(self.rng.random());
            let founding = founding(&self.config.cluster, id, &BTreeMap::from([(own, store)]));
            let now_ms = self.env.wall_ms();
            match registry::found(session, &founding, now_ms, &mut || draw(&mut self.rng)).await {
                // Somebody was faster.
                Ok(_) | Err(registry::Error::OtherCluster { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        register(session, &self.join(), self.env.wall_ms()).await
    }
}
