//! What the service and its tree say of the cluster, gathered for a report.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::Clerk;
use crate::coordination::api::{self, Session};
use crate::coordination::registry::{self, View};
use crate::coordination::tree::Path;
use crate::core::id::NodeId;
use crate::wire::report::{ServiceReport, SessionState};

/// A report is given without what takes longer than this: operators ask above all when something does not answer.
const WITHIN: Duration = Duration::from_secs(2);

/// All of it.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The provider's own report; `None` if the node uses none yet.
    pub service: Option<ServiceReport>,
    /// The node's session, if it has one.
    pub session: Option<SessionState>,
    /// What the nodes keep in the tree; `None` without a session, and the reason if it cannot be read.
    pub registry: Option<Result<Registry, String>>,
}

/// What the nodes keep in the tree.
#[derive(Debug)]
pub struct Registry {
    /// The records.
    pub view: View,
    /// The sessions of the nodes that are alive.
    pub sessions: BTreeMap<NodeId, u64>,
}

impl Clerk {
    /// Asks the provider, and reads the node's own copy of the tree: it may be old.
    pub async fn knowledge(&self) -> Knowledge {
        let service = self.service();
        let Some(session) = self.shared_session().load_full() else {
            return Knowledge { service, ..Knowledge::default() };
        };
        let session = &**session;
        let state = SessionState {
            session: session.id().0,
            timeout_ms: u64::try_from(session.timeout().as_millis()).unwrap_or(u64::MAX),
            connected: *session.state().borrow() == api::SessionState::Connected,
        };
        let registry = match timeout(WITHIN, read(session)).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the tree could not be read within {} ms", WITHIN.as_millis())),
        };
        Knowledge { service, session: Some(state), registry: Some(registry) }
    }
}

async fn read(session: &dyn Session) -> Result<Registry, registry::Error> {
    let view = registry::read(session).await?;
    let mut sessions = BTreeMap::new();
    for node in view.live.keys() {
        let Ok(path) = format!("{}/{node}", registry::LIVE).parse::<Path>() else { continue };
        // It may have vanished since.
        let owner = session.exists(&path).await?.value.and_then(|stat| stat.owner);
        sessions.extend(owner.map(|owner| (*node, owner.0)));
    }
    Ok(Registry { view, sessions })
}
