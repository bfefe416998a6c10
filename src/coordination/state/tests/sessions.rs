//! The rules of sessions and of writes that come twice.

use crate::coordination::state::{Action, Answer, Command, IN_FLIGHT_MAX, Reply, SnapshotError, State};
use crate::coordination::tree::{Change, CreateMode, Limit, Limits, Path, Refusal, SessionId};

const TIMEOUT_MS: u64 = 1_000;

fn apply(state: &mut State, term: u64, now_ms: u64, action: Action) -> Reply {
    state.apply(term, Command { now_ms, action }).reply
}

fn open(state: &mut State, term: u64, now_ms: u64) -> SessionId {
    match apply(state, term, now_ms, Action::Open { timeout_ms: TIMEOUT_MS }) {
        Ok(Answer::Opened { session, timeout_ms: TIMEOUT_MS }) => session,
        other => panic!("{other:?}"),
    }
}

fn expire(state: &mut State, term: u64, now_ms: u64) -> Vec<SessionId> {
    state.apply(term, Command { now_ms, action: Action::Expire }).ended
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn write(session: SessionId, sequence: u64, settled_below: u64) -> Action {
    let create = Change::Create { path: path("/n-"), data: "x".into(), mode: CreateMode::EphemeralSequential };
    Action::Write { session, sequence, settled_below, changes: vec![create] }
}

#[test]
fn only_an_expiry_ends_a_session_and_only_when_its_time_is_over() {
    let mut state = State::default();
    let (early, late) = (open(&mut state, 1, 0), open(&mut state, 1, 500));
    assert_eq!(expire(&mut state, 1, 999), []);
    assert!(!state.is_expiry_due(1, 999) && state.is_expiry_due(1, 1_000));
    assert_eq!(apply(&mut state, 1, 5_000, Action::Renew { session: early }), Ok(Answer::Done), "nobody has ended it");
    assert_eq!(expire(&mut state, 1, 5_999), [late]);
    assert_eq!(Vec::from_iter(state.sessions()), [early]);
    assert_eq!(
        apply(&mut state, 1, 5_999, Action::Renew { session: late }),
        Err(Refusal::SessionExpired { session: late })
    );
    assert_eq!(expire(&mut state, 1, 6_000), [early]);
}

#[test]
fn writes_are_signs_of_life() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    apply(&mut state, 1, 900, write(session, 0, 0)).unwrap();
    assert_eq!(expire(&mut state, 1, 1_899), []);
    assert_eq!(expire(&mut state, 1, 1_900), [session]);
    assert_eq!(state.tree().owned(session).count(), 0);
}

/// Whatever the new leader's clock says, and whatever its first command is.
#[test]
fn with_a_new_leader_sessions_begin_their_timeout_again() {
    for now_ms in [0, 999, 1_000_000] {
        let mut state = State::default();
        let session = open(&mut state, 1, 500_000);
        assert!(state.is_expiry_due(2, now_ms), "no command of this term was applied yet");
        assert_eq!(expire(&mut state, 2, now_ms), []);
        assert_eq!(expire(&mut state, 2, now_ms + TIMEOUT_MS - 1), []);
        assert_eq!(expire(&mut state, 2, now_ms + TIMEOUT_MS), [session]);
    }
}

#[test]
fn commands_that_overtook_each_other_do_not_turn_time_back() {
    let mut state = State::default();
    let session = open(&mut state, 1, 1_000);
    apply(&mut state, 1, 1_500, Action::Renew { session }).unwrap();
    apply(&mut state, 1, 1_400, Action::Renew { session }).unwrap();
    assert_eq!(expire(&mut state, 1, 2_499), []);
    assert_eq!(expire(&mut state, 1, 2_500), [session]);
}

#[test]
fn a_repeated_write_gets_its_first_reply() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    let first = apply(&mut state, 1, 1, write(session, 0, 0));
    let second = apply(&mut state, 1, 2, write(session, 1, 0));
    assert_ne!(first, second);
    let tree = state.tree().clone();
    for (sequence, reply) in [(1, &second), (0, &first), (1, &second)] {
        let repeated = state.apply(7, Command { now_ms: 3, action: write(session, sequence, 0) });
        assert_eq!((&repeated.reply, repeated.events), (reply, vec![]));
    }
    assert_eq!(state.tree(), &tree);
}

#[test]
fn a_repeated_refusal_stays_one() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    let set = |sequence| {
        let changes = vec![Change::Set { path: path("/a"), data: "x".into(), expected: None }];
        Action::Write { session, sequence, settled_below: 0, changes }
    };
    let refused = Err(Refusal::NoNode { path: path("/a") });
    assert_eq!(apply(&mut state, 1, 0, set(0)), refused);
    let create = Change::Create { path: path("/a"), data: "".into(), mode: CreateMode::Persistent };
    apply(&mut state, 1, 0, Action::Write { session, sequence: 1, settled_below: 0, changes: vec![create] }).unwrap();
    assert_eq!(apply(&mut state, 1, 0, set(0)), refused, "though it would succeed now");
    assert!(apply(&mut state, 1, 0, set(2)).is_ok());
}

/// A write that was given up before it arrived never happens, once a later one has.
#[test]
fn what_was_given_up_is_not_applied_any_more() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    apply(&mut state, 1, 0, write(session, 5, 5)).unwrap();
    let tree = state.tree().clone();
    assert_eq!(apply(&mut state, 1, 0, write(session, 4, 3)), Err(Refusal::GivenUp { sequence: 4 }));
    assert_eq!(state.tree(), &tree);
}

/// The number of replies kept is bounded, and a write that was refused for that stays refused.
#[test]
fn writes_are_not_far_ahead_of_the_oldest_without_a_reply() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    let refused = Err(Refusal::TooMuch { limit: Limit::InFlight, max: IN_FLIGHT_MAX });
    assert_eq!(apply(&mut state, 1, 0, write(session, IN_FLIGHT_MAX, 0)), refused);
    assert!(apply(&mut state, 1, 0, write(session, IN_FLIGHT_MAX - 1, 0)).is_ok());
    assert!(apply(&mut state, 1, 0, write(session, IN_FLIGHT_MAX + 1, IN_FLIGHT_MAX)).is_ok());
    assert_eq!(apply(&mut state, 1, 0, write(session, IN_FLIGHT_MAX, 0)), refused);
}

#[test]
fn limits_are_part_of_the_state() {
    let mut state = State::default();
    let limits = Limits { sessions_max: 1, session_timeout_max_ms: 700, ..Limits::default() };
    apply(&mut state, 1, 0, Action::SetLimits(limits.clone())).unwrap();
    let opened = apply(&mut state, 1, 0, Action::Open { timeout_ms: TIMEOUT_MS });
    assert_eq!(opened, Ok(Answer::Opened { session: SessionId(1), timeout_ms: 700 }));
    let full = Err(Refusal::TooMuch { limit: Limit::Sessions, max: 1 });
    assert_eq!(apply(&mut state, 1, 0, Action::Open { timeout_ms: TIMEOUT_MS }), full);
    apply(&mut state, 1, 0, Action::Close { session: SessionId(1) }).unwrap();
    let restored = State::restore(&state.snapshot().unwrap()).unwrap();
    assert_eq!(restored.limits(), &limits);
    let reopened = apply(&mut state, 1, 0, Action::Open { timeout_ms: TIMEOUT_MS });
    assert_eq!(reopened, Ok(Answer::Opened { session: SessionId(2), timeout_ms: 700 }), "no id comes twice");
}

#[test]
fn damaged_snapshots_are_refused() {
    let mut state = State::default();
    let session = open(&mut state, 1, 0);
    apply(&mut state, 1, 1, write(session, 0, 0)).unwrap();
    let bytes = state.snapshot().unwrap().to_vec();
    assert_eq!(State::restore(&bytes).unwrap(), state);
    for end in 1..bytes.len() {
        assert!(matches!(State::restore(&bytes[..end]), Err(SnapshotError::Damaged(_))), "cut at {end}");
    }
    assert!(matches!(State::restore(&[]), Err(SnapshotError::Format { found: None })));
    assert!(matches!(State::restore(&[99, 0]), Err(SnapshotError::Format { found: Some(99) })));
    assert!(matches!(State::restore(&[&bytes[..], b"!"].concat()), Err(SnapshotError::Trailing(1))));
}
