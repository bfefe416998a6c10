//! After a forced recovery nothing passes for what the lost majority acknowledged.

use crate::coordination::state::{Action, Answer, Command, GenerationError, State};
use crate::coordination::tree::{Change, CreateMode, GENERATION_MAX, Outcome, Path, Refusal, SessionId};

fn apply(state: &mut State, action: Action) -> Result<Answer, Refusal> {
    state.apply(1, Command { now_ms: 0, action }).reply
}

fn open(state: &mut State) -> SessionId {
    match apply(state, Action::Open { timeout_ms: 1_000 }) {
        Ok(Answer::Opened { session, .. }) => session,
        other => panic!("{other:?}"),
    }
}

fn write(state: &mut State, session: SessionId, sequence: u64, change: Change) -> Result<Outcome, Refusal> {
    let changes = vec![change];
    match apply(state, Action::Write { session, sequence, settled_below: sequence, changes })? {
        Answer::Written(mut outcomes) => Ok(outcomes.remove(0)),
        other => panic!("{other:?}"),
    }
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn create(at: &str, mode: CreateMode) -> Change {
    Change::Create { path: path(at), data: "x".into(), mode }
}

fn set(expected: u64) -> Change {
    Change::Set { path: path("/a"), data: "y".into(), expected: Some(expected) }
}

/// What the survivor knows: a session with one node of each kind.
fn survivor() -> (State, SessionId) {
    let mut state = State::default();
    let session = open(&mut state);
    write(&mut state, session, 0, create("/a", CreateMode::Persistent)).unwrap();
    write(&mut state, session, 1, create("/e", CreateMode::Ephemeral)).unwrap();
    write(&mut state, session, 2, create("/s-", CreateMode::PersistentSequential)).unwrap();
    (state, session)
}

#[test]
fn numbers_that_the_lost_majority_gave_are_not_given_again() {
    let (mut state, session) = survivor();
    let mut lost = state.clone();
    let numbered = |state: &mut State, session| {
        let sequential = create("/s-", CreateMode::PersistentSequential);
        match write(state, session, 9, sequential).unwrap() {
            Outcome::Created { path, .. } => path,
            other => panic!("{other:?}"),
        }
    };
    let acknowledged_session = open(&mut lost);
    let acknowledged_path = numbered(&mut lost, acknowledged_session);
    (10..13).for_each(|sequence| drop(write(&mut lost, session, sequence, set(sequence - 10)).unwrap()));

    assert_eq!(state.recover(1), Ok(vec![session]));
    assert!(state.tree().revision() > lost.tree().revision());
    let opened = open(&mut state);
    assert!(opened > acknowledged_session);
    assert!(numbered(&mut state, opened) > acknowledged_path);
    for version in 0..=lost.tree().stat(&path("/a")).unwrap().version {
        let stale = write(&mut state, opened, 20 + version, set(version));
        assert_eq!(stale, Err(Refusal::BadVersion { path: path("/a"), expected: version }));
    }
    let version = state.tree().stat(&path("/a")).unwrap().version;
    assert!(write(&mut state, opened, 30, set(version)).is_ok());
}

#[test]
fn sessions_end_with_their_nodes_and_all_else_stays() {
    let (mut state, session) = survivor();
    state.recover(1).unwrap();
    assert!(!state.is_open(session) && state.tree().stat(&path("/e")).is_none());
    assert_eq!(state.tree().get(&path("/a")).unwrap().data, "x");
    assert_eq!(state.tree().children(&Path::root()).unwrap().names, ["a", "s-0000000000"]);
    assert_eq!(State::restore(&state.snapshot().unwrap()).unwrap(), state);
}

#[test]
fn generations_rise() {
    let (mut state, _) = survivor();
    assert_eq!(state.recover(0), Err(GenerationError { generation: 0, present: 0 }));
    state.recover(1).unwrap();
    let first = state.tree().revision();
    assert_eq!((state.generation(), state.recover(1)), (1, Err(GenerationError { generation: 1, present: 1 })));
    let too_high = GENERATION_MAX + 1;
    assert_eq!(state.recover(too_high), Err(GenerationError { generation: too_high, present: 1 }));
    state.recover(GENERATION_MAX).unwrap();
    assert!(state.generation() == GENERATION_MAX && state.tree().revision() > first);
}
