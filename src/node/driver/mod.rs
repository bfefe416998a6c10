//! The driver: takes ring changes on.
//!
//! Every node has one, and each does the same: it looks at what the MembershipWatcher reads of the registry, and if a write is due
//! ([`registry::change::next`]), makes it. Nothing hangs on one node, and since each write is made under the versions of all that it
//! was decided on, two that drive at once do no harm. So that they do not get in each other's way all the same, they take turns
//! ([`turn`]): the live node with the lowest number drives at once, the others if nothing moved for a while.
//!
//! A short pause before each write gathers what comes in together: acknowledgements and reports of many nodes become one ring.

#[cfg(all(test, feature = "sim"))]
mod tests;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::env::{Env, now};
use crate::coordination::SharedSession;
use crate::coordination::api::Session;
use crate::coordination::registry::View;
use crate::coordination::registry::change::{self, Driven, Settings};
use crate::core::id::StoreId;
use crate::core::ring::change::WINDOW_DEFAULT;

use turn::{Turn, delay};

/// What comes in within it becomes one ring.
const GATHER: Duration = Duration::from_millis(20);
/// Between two looks while something is due.
const BUSY: Duration = Duration::from_millis(200);
/// Between two looks while nothing is: time alone may make a removal due.
const IDLE: Duration = Duration::from_secs(1);

/// Where a node's driver is told what the registry says. It ends when this is dropped.
pub struct Driver(watch::Sender<Option<Arc<View>>>);

impl Driver {
    /// Begins to drive for the node with this store, in whatever session is published.
    pub fn start(store: StoreId, session: SharedSession, env: Env) -> Driver {
        let (views, seen) = watch::channel(None);
        actix_rt::spawn(drive(store, session, env, seen));
        Driver(views)
    }

    /// The registry, as it was just read. Does not block.
    pub fn seen(&self, view: &Arc<View>) {
        self.0.send_replace(Some(view.clone()));
    }
}

async fn drive(store: StoreId, session: SharedSession, env: Env, mut views: watch::Receiver<Option<Arc<View>>>) {
    let mut turn = Turn::default();
    let mut pause = IDLE;
    loop {
        if let Ok(Err(_)) = timeout(pause, views.changed()).await {
            return;
        }
        let view = views.borrow_and_update().clone();
        let (Some(view), Some(session)) = (view, session.load_full()) else { continue };
        let Some(node) = view.stores.get(&store).map(|record| record.node) else { continue };
        let settings = Settings { node, window: WINDOW_DEFAULT };
        if change::next(&view, &settings, env.wall_ms()).is_none() {
            turn.nothing_is_due();
            pause = IDLE;
            continue;
        }
        pause = BUSY;
        if turn.has_come(&view, delay(&view, node), now()) {
            sleep(GATHER).await;
            if advance(&**session, &settings, &env).await == Driven::Wrote {
                turn.nothing_is_due();
            }
        }
    }
}

/// Makes the write that is due by a fresh reading.
async fn advance(session: &dyn Session, settings: &Settings, env: &Env) -> Driven {
    let advanced = change::advance_once(session, settings, env.wall_ms());
    match timeout(session.timeout(), advanced).await {
        Ok(Ok(driven)) => driven,
        Ok(Err(error)) => {
            log::info!("the ring change waits for the coordination service: {error}");
            Driven::ReadAgain
        }
        Err(_) => {
            log::info!("the ring change waits for the coordination service, which does not answer");
            Driven::ReadAgain
        }
    }
}
