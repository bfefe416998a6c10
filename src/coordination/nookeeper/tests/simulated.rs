//! The suite on three simulated hosts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::support::{InTurns, accept, id, keeper, timing, until, welcome};
use crate::coordination::conformance::Harness;
use crate::coordination::nookeeper::types::Endpoint;
use crate::coordination::nookeeper::{Nookeeper, Parts, runtime};
use crate::wire::net::Listener;

crate::coordination_suite!(each on_three_hosts);

const PORT: u16 = 9000;

fn endpoint(store: u128) -> Endpoint {
    Endpoint { node: store as u32, address: format!("n{store}:{PORT}") }
}

/// One case, as a function from its harness to what happens.
type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn on_three_hosts(case: impl for<'a> FnOnce(&'a dyn Harness) -> Running<'a> + 'static) {
    runtime::seed(Some(7));
    let mut sim = turmoil::Builder::new()
        .rng_seed(7)
        .simulation_duration(Duration::from_secs(300))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .build();
    let nodes: Rc<RefCell<BTreeMap<u128, Nookeeper>>> = Rc::default();
    for store in 1..=3 {
        let nodes = nodes.clone();
        sim.host(format!("n{store}"), move || serve(store, nodes.clone()));
    }
    sim.client("test", async move {
        until("the replicas", || nodes.borrow().len() == 3).await;
        let nodes: Vec<Nookeeper> = nodes.borrow().values().cloned().collect();
        nodes[0].found([1, 2, 3].map(|store| (id(store), endpoint(store))).into()).await?;
        case(&InTurns::new(nodes)).await;
        Ok(())
    });
    sim.run().unwrap();
    runtime::seed(None);
}

async fn serve(store: u128, nodes: Rc<RefCell<BTreeMap<u128, Nookeeper>>>) -> turmoil::Result {
    let listener = Listener::bind(&format!("0.0.0.0:{PORT}")).await?;
    let database = redb::Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())?;
    let service = Nookeeper::start(Parts {
        own: id(store),
        endpoint: endpoint(store),
        keeper: keeper(id(store)),
        database,
        timing: timing(),
        seed: store as u64,
        judge: Arc::new(|_| Ok(())),
    })
    .await?;
    nodes.borrow_mut().insert(store, service.clone());
    accept(listener, welcome(id(store)), |from, stream| service.serve(from, stream)).await;
    Ok(())
}
