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
use crate::coordination::nookeeper::{Nookeeper, Parts, Timing, runtime};
use crate::wire::net::Listener;

crate::coordination_suite!(each on_three_hosts);

const PORT: u16 = 9000;

fn endpoint(store: u128) -> Endpoint {
    Endpoint { node: store as u32, address: format!("{}:{PORT}", host(store)) }
}

/// The name of a replica's host.
pub fn host(store: u128) -> String {
    format!("n{store}")
}

/// One case, as a function from its harness to what happens.
type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn on_three_hosts(case: impl for<'a> FnOnce(&'a dyn Harness) -> Running<'a> + 'static) {
    simulate(7, timing(), async move |nodes| case(&InTurns::new(nodes)).await);
}

/// Founds a service on three hosts and runs `body` beside them.
pub fn simulate<T: 'static>(seed: u64, timing: Timing, body: impl AsyncFnOnce(Vec<Nookeeper>) -> T + 'static) -> T {
    runtime::seed(Some(seed));
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(300))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .epoch(std::time::UNIX_EPOCH)
        .build();
    let nodes: Rc<RefCell<BTreeMap<u128, Nookeeper>>> = Rc::default();
    for store in 1..=3 {
        let (nodes, timing) = (nodes.clone(), timing.clone());
        let chance = seed << 8 | store as u64;
        sim.host(host(store), move || serve(store, chance, timing.clone(), nodes.clone()));
    }
    let result = Rc::new(RefCell::new(None));
    let come = result.clone();
    sim.client("test", async move {
        until("the replicas", || nodes.borrow().len() == 3).await;
        let nodes: Vec<Nookeeper> = nodes.borrow().values().cloned().collect();
        nodes[0].found([1, 2, 3].map(|store| (id(store), endpoint(store))).into()).await?;
        let body = body(nodes).await;
        *come.borrow_mut() = Some(body);
        Ok(())
    });
    sim.run().unwrap();
    runtime::seed(None);
    result.take().expect("it ran to its end")
}

async fn serve(
    store: u128,
    seed: u64,
    timing: Timing,
    nodes: Rc<RefCell<BTreeMap<u128, Nookeeper>>>,
) -> turmoil::Result {
    let listener = Listener::bind(&format!("0.0.0.0:{PORT}")).await?;
    let database = redb::Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())?;
    let service = Nookeeper::start(Parts {
        own: id(store),
        endpoint: endpoint(store),
        keeper: keeper(id(store)),
        database,
        timing,
        seed,
        judge: Arc::new(|_| Ok(())),
    })
    .await?;
    nodes.borrow_mut().insert(store, service.clone());
    accept(listener, welcome(id(store)), |from, stream| service.serve(from, stream)).await;
    Ok(())
}
