//! Ring changes through the clerk, over a service in this process.

use super::tests::{SECOND, done, found, refused, visit};
use super::visit::Visit;
use crate::coordination::api::{Service, Session};
use crate::coordination::local::Local;
use crate::coordination::registry::{self, Joiner};
use crate::core::id::{NodeId, Start, StoreId};
use crate::core::ring::change::{Action, Direction, Origin, Refusal};
use crate::wire::change::{ChangeAnswer, ChangeFailure, ChangeReport, ChangeRequest, PlanReport, StagedReport};
use crate::wire::tree::{TreeAnswer, TreeFailure, TreeRequest};

/// A cluster of three nodes and a guest, all alive as long as the sessions are kept.
async fn cluster(service: &Local) -> Vec<Box<dyn Session>> {
    found(service).await;
    let mut sessions = vec![];
    for node in 1..=4 {
        let joiner = Joiner {
            cluster: None,
            node: Some(NodeId(node)),
            start: Start { store: StoreId(node.into()), number: 1, nonce: 1 },
            address: format!("localhost:{node}"),
            zone: None,
            weight: None,
        };
        let session = service.open(SECOND).await.unwrap();
        registry::register(&*session, &joiner, 0).await.unwrap();
        sessions.push(session);
    }
    sessions
}

async fn ask(visit: &Visit, request: ChangeRequest) -> ChangeAnswer {
    match done(visit, TreeRequest::Change(request)).await {
        TreeAnswer::Change(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

async fn plan(visit: &Visit) -> PlanReport {
    let ChangeAnswer::Plan(plan) = ask(visit, ChangeRequest::Plan).await else { panic!() };
    plan
}

async fn progress(visit: &Visit) -> Option<Box<ChangeReport>> {
    let ChangeAnswer::Change(change) = ask(visit, ChangeRequest::Progress).await else { panic!() };
    change
}

async fn failure(visit: &Visit, request: ChangeRequest) -> TreeFailure {
    refused(visit, TreeRequest::Change(request)).await
}

fn join() -> ChangeRequest {
    ChangeRequest::Stage(Action::Join { node: NodeId(4) })
}

#[tokio::test]
async fn what_is_staged_is_planned_committed_and_turned_back() {
    let service = Local::new();
    let (_sessions, visit) = (cluster(&service).await, visit(&service).await);
    assert_eq!(progress(&visit).await, None);
    let ChangeAnswer::Staged(StagedReport { version, actions, .. }) = ask(&visit, join()).await else { panic!() };
    assert_eq!(actions, [Action::Join { node: NodeId(4) }]);
    let planned = plan(&visit).await;
    assert_eq!((planned.version, planned.replicas, &planned.refusals[..]), (version, 12, &[][..]));

    let commit = |version| ChangeRequest::Commit { version, force: false };
    let changed = ChangeFailure::PlanChanged { expected: version + 1, found: version };
    assert_eq!(failure(&visit, commit(version + 1)).await, changed.into());
    assert_eq!(ask(&visit, commit(version)).await, ChangeAnswer::Committed { number: 1, replicas: 12 });
    let running = ChangeFailure::Running { number: 1, origin: Origin::Operator, through: NodeId(1) };
    assert_eq!(failure(&visit, commit(version)).await, running.into());
    assert_eq!(progress(&visit).await.unwrap().direction, Direction::Forward);

    let turn_back = |number| ChangeRequest::TurnBack { number };
    assert_eq!(failure(&visit, turn_back(2)).await, ChangeFailure::NoChange { number: 2 }.into());
    let ChangeAnswer::Change(Some(turned)) = ask(&visit, turn_back(1)).await else { panic!() };
    assert_eq!((turned.number, turned.direction), (1, Direction::TurningBack));
}

#[tokio::test]
async fn refusals_are_carried_with_their_reasons() {
    let service = Local::new();
    let (_sessions, visit) = (cluster(&service).await, visit(&service).await);
    ask(&visit, ChangeRequest::Stage(Action::Remove { node: NodeId(1) })).await;
    let planned = plan(&visit).await;
    let alive = Refusal::Alive { node: NodeId(1) };
    assert!(planned.refusals.iter().any(|report| report.refusal == alive && report.can_be_forced), "{planned:?}");
    let commit = ChangeRequest::Commit { version: planned.version, force: false };
    let TreeFailure::Change(ChangeFailure::Refused(reasons)) = failure(&visit, commit).await else { panic!() };
    assert!(reasons.contains(&alive), "{reasons:?}");

    let ChangeAnswer::Staged(cleared) = ask(&visit, ChangeRequest::Clear).await else { panic!() };
    assert_eq!((cleared.actions.len(), cleared.superseded.len()), (0, 1));
    assert_eq!(plan(&visit).await.refusals[0].refusal, Refusal::Nothing);
}

#[tokio::test]
async fn a_store_is_forgotten_only_if_it_is_lost() {
    let service = Local::new();
    let (sessions, visit) = (cluster(&service).await, visit(&service).await);
    let forget = |store| ChangeRequest::Forget { store: StoreId(store) };
    let failure = failure(&visit, forget(4)).await;
    assert!(matches!(&failure, TreeFailure::Invalid { reason } if reason.contains("alive")), "{failure}");
    sessions[3].close().await.unwrap();
    let forgotten = ChangeAnswer::Forgotten { store: StoreId(4), node: NodeId(4) };
    assert_eq!(ask(&visit, forget(4)).await, forgotten);
}

#[test]
fn only_what_changes_nothing_may_be_asked_twice() {
    let writes = |request| TreeRequest::Change(request).is_write();
    assert!(!writes(ChangeRequest::Plan) && !writes(ChangeRequest::Progress));
    let commit = ChangeRequest::Commit { version: 1, force: false };
    let requests = [join(), ChangeRequest::Clear, commit, ChangeRequest::TurnBack { number: 1 }];
    assert!(requests.into_iter().all(writes));
}
