use bytes::Bytes;

use super::*;
use crate::coordination::conformance::{Harness, Killed};
use crate::coordination::tree::{CreateMode, Refusal};

/// Time passes when a session is to die, and never else.
#[derive(Default)]
struct OneProcess {
    service: Local,
    now_ms: Mutex<u64>,
}

impl Harness for OneProcess {
    fn service(&self) -> &dyn Service {
        &self.service
    }

    fn kill(&self, session: Box<dyn Session>) -> Killed<'_> {
        let mut now_ms = self.now_ms.lock().unwrap();
        *now_ms += session.timeout().as_millis() as u64;
        self.service.tick(*now_ms);
        Box::pin(std::future::ready(()))
    }
}

crate::coordination_suite!(OneProcess::default());

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

#[tokio::test]
async fn signs_of_life_keep_a_session() {
    let service = Local::new();
    let session = service.open(Duration::from_secs(10)).await.unwrap();
    service.tick(9_999);
    session.renew().await.unwrap();
    service.tick(19_998);
    session.create(&path("/a"), Bytes::new(), CreateMode::Ephemeral).await.unwrap();
    service.tick(29_997);
    assert_eq!(*session.state().borrow(), SessionState::Connected);
    service.tick(29_998);
    assert_eq!(*session.state().borrow(), SessionState::Expired);
    assert_eq!(service.state().tree().stat(&path("/a")), None);
}

#[tokio::test]
async fn time_does_not_go_back() {
    let service = Local::new();
    service.tick(50_000);
    let session = service.open(Duration::from_secs(10)).await.unwrap();
    service.tick(1);
    session.renew().await.unwrap();
    service.tick(59_999);
    assert_eq!(session.renew().await, Ok(()));
}

#[tokio::test]
async fn a_call_does_nothing_until_it_is_polled() {
    let service = Local::new();
    let session = service.open(Duration::from_secs(10)).await.unwrap();
    drop(session.create(&path("/a"), Bytes::new(), CreateMode::Persistent));
    assert_eq!(session.exists(&path("/a")).await.unwrap().value, None);
}

#[tokio::test]
async fn timeouts_keep_to_the_limits() {
    let service = Local::new();
    let limits = service.state().limits().clone();
    let granted = async |timeout| service.open(timeout).await.unwrap().timeout().as_millis() as u64;
    assert_eq!(granted(Duration::ZERO).await, limits.session_timeout_min_ms);
    assert_eq!(granted(Duration::MAX).await, limits.session_timeout_max_ms);
}

#[tokio::test]
async fn watches_leave_nothing_behind() {
    let service = Local::new();
    let session = service.open(Duration::from_secs(10)).await.unwrap();
    let kept = session.watch(&path("/a"), Watched::Node).await.unwrap();
    drop(session.watch(&path("/b"), Watched::Node).await.unwrap());
    let left = || service.shared().watchers.watches();
    assert_eq!(left(), 1);
    session.close().await.unwrap();
    assert_eq!(left(), 0);
    drop(kept);
    assert!(matches!(session.watch(&path("/a"), Watched::Node).await, Err(Error::SessionExpired)));
}

#[tokio::test]
async fn errors_answer_what_the_caller_asks_next() {
    let cause = || "link 2".to_owned();
    let lost = Error::ConnectionLoss { cause: cause() };
    let unknown = Error::OutcomeUnknown { cause: cause() };
    let refused = Error::from(Refusal::NoNode { path: path("/a") });
    let given_up = Error::from(Refusal::GivenUp { sequence: 1 });
    let answers = |error: &Error| (error.retryable(), error.outcome_unknown());
    assert_eq!(answers(&lost), (true, false));
    assert_eq!(answers(&unknown), (false, true));
    assert_eq!(answers(&refused), (false, false));
    assert_eq!(answers(&given_up), (false, true));
    assert_eq!(answers(&Error::from(Refusal::SessionExpired { session: SessionId(1) })), (false, false));
    assert_eq!(refused.to_string(), "/a does not exist");
}
