use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::coordination::nookeeper::tests::support::{accept, id, keeper, welcome};
use crate::wire::handshake::Welcome;
use crate::wire::net::Listener;

fn links(judge: Judge) -> (Links, watch::Sender<bool>, watch::Receiver<Option<Refusal>>) {
    let (stop, stopped) = watch::channel(false);
    let (refusals, refused) = watch::channel(None);
    let timing = Timing { election_min_ms: 200, connect_timeout_ms: 300, ..Timing::default() };
    let links = Links::new(Common {
        own: id(1),
        judge,
        timing,
        runtime: Handle::current(),
        seed: 1,
        keeper: watch::channel(keeper(id(1))).0,
        refused: refusals,
        stop: stopped,
    });
    (links, stop, refused)
}

fn anyone() -> Judge {
    Arc::new(|_| Ok(()))
}

/// Serves as store 2: answers a call with its own bytes, after as many milliseconds as its first byte says; never if that
/// is 255.
async fn echo() -> (Endpoint, JoinHandle<()>) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(accept(listener, welcome(id(2)), |_, stream| {
        tokio::spawn(serve::serve(stream.attach().unwrap(), |body: Bytes| async move {
            match body.first() {
                Some(255) => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms.copied().unwrap_or(0).into())).await,
            }
            Some(body)
        }));
    }));
    (Endpoint { node: 2, address }, serving)
}

fn bytes(first: u8, length: usize) -> Bytes {
    let mut bytes = vec![7; length];
    bytes[0] = first;
    bytes.into()
}

#[tokio::test]
async fn calls_share_a_connection_and_overtake_each_other() {
    let (links, _stop, _) = links(anyone());
    let (endpoint, _serving) = echo().await;
    let slow = async {
        let answer = links.call(id(2), &endpoint, bytes(200, 3_000_000)).await;
        (answer, tokio::time::Instant::now())
    };
    let fast = async {
        let answer = links.call(id(2), &endpoint, bytes(0, 10)).await;
        (answer, tokio::time::Instant::now())
    };
    let ((slow, slow_at), (fast, fast_at)) = tokio::join!(slow, fast);
    assert_eq!((slow, fast), (Ok(bytes(200, 3_000_000)), Ok(bytes(0, 10))));
    assert!(fast_at < slow_at && links.is_live(id(2)) && !links.is_live(id(3)));
}

#[tokio::test]
async fn another_store_is_told_nothing() {
    let (links, _stop, _) = links(anyone());
    let (endpoint, _serving) = echo().await;
    let error = links.call(id(3), &endpoint, bytes(0, 1)).await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(why) if why.contains("answers there")), "{error:?}");
}

#[tokio::test]
async fn who_answers_is_judged() {
    let (links, _stop, refused) = links(Arc::new(|_| Err(Refusal::Recovered { generation: 5 })));
    let (endpoint, _serving) = echo().await;
    let error = links.call(id(2), &endpoint, bytes(0, 1)).await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(why) if why.contains("generation 5")), "{error:?}");
    assert_eq!(*refused.borrow(), None, "it was this one that refused");
}

#[tokio::test]
async fn a_refusal_for_good_is_told() {
    let (links, _stop, mut refused) = links(anyone());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint { node: 2, address: listener.local_addr().unwrap().to_string() };
    let refusal = Refusal::RolledBack { store: StoreId(1), seen: 9 };
    let refusing = Welcome::Refused(refusal.clone());
    tokio::spawn(accept(listener, refusing, |_, _| unreachable!("nobody was welcomed")));
    assert!(links.call(id(2), &endpoint, bytes(0, 1)).await.is_err());
    assert_eq!(*refused.wait_for(Option::is_some).await.unwrap(), Some(refusal));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() {
    let (links, _stop, _) = links(anyone());
    let (endpoint, _serving) = echo().await;
    let lost = links.call(id(2), &endpoint, bytes(255, 1)).await.unwrap_err();
    assert!(matches!(&lost, CallError::Lost(why) if why.contains("silent")), "{lost:?}");
    while links.call(id(2), &endpoint, bytes(0, 1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_unreachable_peer_is_no_reason_to_wait() {
    let (links, _stop, _) = links(anyone());
    let (endpoint, serving) = echo().await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    for _ in 0..50 {
        let error = links.call(id(2), &endpoint, bytes(0, 1)).await.unwrap_err();
        assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
    }
    // It is found where the roster says that it is.
    let (moved, _serving) = echo().await;
    links.set_roster(&Roster { members: BTreeMap::from([(id(2).store, moved)]), ..Roster::default() });
    while links.call(id(2), &endpoint, bytes(0, 1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn stopping_ends_calls() {
    let (links, stop, _) = links(anyone());
    let (endpoint, _serving) = echo().await;
    let call = links.call(id(2), &endpoint, bytes(255, 1));
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.send_replace(true);
    };
    let (ended, ()) = tokio::join!(call, stopping);
    assert!(matches!(ended, Err(CallError::Lost(_))));
    assert!(matches!(links.call(id(2), &endpoint, bytes(0, 1)).await, Err(CallError::NotSent(_) | CallError::Lost(_))));
}
