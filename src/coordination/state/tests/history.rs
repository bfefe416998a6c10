//! Random logs.

use proptest::prelude::*;

use crate::coordination::state::{Action, Command, Numbered, Sequences};
use crate::coordination::tree::{Change, CreateMode, Path, SessionId};

/// Sessions that steps speak of; some of them are never opened, or end.
const SESSIONS: u64 = 4;

/// An entry of the log: the term, and the command.
pub type Entry = (u64, Command);

#[derive(Clone, Debug)]
enum Step {
    Open {
        timeout_ms: u64,
    },
    Renew {
        session: u64,
    },
    Close {
        session: u64,
    },
    /// A new write; `keeps` if its sender does not settle it.
    Write {
        session: u64,
        changes: Vec<Change>,
        keeps: bool,
    },
    /// An entry of before comes again.
    Repeat {
        earlier: usize,
    },
    Expire,
    Wait {
        ms: u64,
    },
    NewLeader {
        now_ms: u64,
    },
}

fn path() -> impl Strategy<Value = Path> {
    let name = prop::sample::select(&["a", "b", "n-", "n-0000000001"][..]);
    prop::collection::vec(name, 0..4).prop_map(|names| format!("/{}", names.join("/")).parse().expect("a path"))
}

fn change() -> impl Strategy<Value = Change> {
    let expected = || prop::option::weighted(0.3, 0u64..3);
    let data = || "[a-z]{0,4}".prop_map(bytes::Bytes::from);
    let mode = prop::sample::select(
        &[
            CreateMode::Persistent,
            CreateMode::Persistent,
            CreateMode::PersistentSequential,
            CreateMode::Ephemeral,
            CreateMode::EphemeralSequential,
        ][..],
    );
    prop_oneof![
        8 => (path(), data(), mode).prop_map(|(path, data, mode)| Change::Create { path, data, mode }),
        3 => (path(), data(), expected()).prop_map(|(path, data, expected)| Change::Set { path, data, expected }),
        3 => (path(), expected()).prop_map(|(path, expected)| Change::Delete { path, expected }),
        1 => (path(), expected()).prop_map(|(path, expected)| Change::Check { path, expected }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 1..=SESSIONS;
    let changes = prop_oneof![3 => prop::collection::vec(change(), 1), 1 => prop::collection::vec(change(), 0..6)];
    prop_oneof![
        2 => (0u64..2_000).prop_map(|timeout_ms| Step::Open { timeout_ms }),
        2 => session().prop_map(|session| Step::Renew { session }),
        1 => session().prop_map(|session| Step::Close { session }),
        20 => (session(), changes, prop::bool::weighted(0.2))
            .prop_map(|(session, changes, keeps)| Step::Write { session, changes, keeps }),
        4 => any::<usize>().prop_map(|earlier| Step::Repeat { earlier }),
        2 => Just(Step::Expire),
        2 => (0u64..600).prop_map(|ms| Step::Wait { ms }),
        1 => (0u64..10_000).prop_map(|now_ms| Step::NewLeader { now_ms }),
    ]
}

/// Logs of up to eighty entries. Most begin with an open session.
pub fn log() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(step(), 0..80).prop_map(|steps| {
        let first = Step::Open { timeout_ms: 1_000 };
        enter([first.clone(), first].into_iter().chain(steps))
    })
}

fn enter(steps: impl Iterator<Item = Step>) -> Vec<Entry> {
    let (mut log, mut term, mut now_ms) = (Vec::<Entry>::new(), 1, 0);
    let mut sequences: Vec<Sequences> = (0..=SESSIONS).map(|_| Sequences::default()).collect();
    for step in steps {
        let action = match step {
            Step::Wait { ms } => {
                now_ms += ms;
                continue;
            }
            Step::NewLeader { now_ms: other } => {
                (term, now_ms) = (term + 1, other);
                continue;
            }
            Step::Open { timeout_ms } => Action::Open { timeout_ms },
            Step::Renew { session } => Action::Renew { session: SessionId(session) },
            Step::Close { session } => Action::Close { session: SessionId(session) },
            Step::Expire => Action::Expire,
            Step::Repeat { earlier } => log[earlier % log.len()].1.action.clone(),
            Step::Write { session, changes, keeps } => {
                let numbers = &mut sequences[session as usize];
                let Ok(Numbered { sequence, settled_below }) = numbers.begin() else { continue };
                if !keeps {
                    numbers.settle(sequence);
                }
                Action::Write { session: SessionId(session), sequence, settled_below, changes }
            }
        };
        log.push((term, Command { now_ms, action }));
    }
    log
}
