//! What every provider must do.

use std::sync::atomic::{AtomicU64, Ordering};

use kv::coordination::api::{Service, Session};
use kv::coordination::conformance::{Harness, Killed};
use kv::coordination::zookeeper::ZooKeeper;
use tokio::sync::OnceCell;

use crate::server::Server;

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static ROOTS: AtomicU64 = AtomicU64::new(0);

/// The shared server, as one case sees it.
struct Shared {
    server: &'static Server,
    service: ZooKeeper,
}

impl Shared {
    async fn take() -> Option<Shared> {
        let server = SERVER.get_or_init(Server::start).await.as_ref()?;
        let root = format!("/conformance/case-{}", ROOTS.fetch_add(1, Ordering::Relaxed));
        Some(Shared { server, service: server.service(&root) })
    }
}

impl Harness for Shared {
    fn service(&self) -> &dyn Service {
        &self.service
    }

    fn kill(&self, session: Box<dyn Session>) -> Killed<'_> {
        let id = session.id();
        drop(session);
        Box::pin(async move {
            self.server.until_ended(id).await;
        })
    }
}

kv::coordination_suite!(match Shared::take().await {
    Some(shared) => shared,
    None => return,
});
