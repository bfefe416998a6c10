use bytes::Bytes;
use kv::coordination::tree::SessionId;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use super::*;
use crate::linear::node::{Held, Node, Op, Ret};

type NodeStep = Step<Op, Ret>;

fn data(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn set(text: &'static str) -> Op {
    Op::Set { data: data(text), expected: None }
}

fn done(invoked: Place, answered: Place, op: Op, ret: Ret) -> NodeStep {
    Step { op, invoked, end: End::Returned(answered, ret) }
}

fn held(text: &'static str, version: u64) -> Ret {
    Ret::Held(Held { data: data(text), version, owner: None })
}

/// A node that holds `0` at version 0.
fn start() -> Node {
    Node(Some(Held { data: data("0"), version: 0, owner: None }))
}

#[test]
fn overlapping_answers_are_put_in_an_order() {
    let steps = [
        done(0, 5, set("a"), Ret::Version(2)),
        done(1, 4, set("b"), Ret::Version(1)),
        done(2, 3, Op::Get, held("0", 0)),
        done(6, 7, Op::Get, held("a", 2)),
    ];
    assert_eq!(check(start(), &steps), Ok(()));
}

#[test]
fn a_stale_read_is_named() {
    let steps = [done(0, 1, set("a"), Ret::Version(1)), done(2, 3, Op::Get, held("0", 0))];
    assert_eq!(check(start(), &steps), Err(Flaw::Unexplained { step: 1 }));
}

#[test]
fn two_cannot_win_one_version() {
    let cas = |text| Op::Set { data: data(text), expected: Some(0) };
    let steps = [done(0, 2, cas("a"), Ret::Version(1)), done(1, 3, cas("b"), Ret::Version(1))];
    assert_eq!(check(start(), &steps), Err(Flaw::Unexplained { step: 1 }));
    let steps = [done(0, 2, cas("a"), Ret::Version(1)), done(1, 3, cas("b"), Ret::BadVersion)];
    assert_eq!(check(start(), &steps), Ok(()));
}

#[test]
fn what_is_unknown_happens_late_or_never() {
    let unknown = |end| Step { op: set("a"), invoked: 0, end };
    let read = |at, ret| done(at, at + 1, Op::Get, ret);
    for end in [End::Open, End::SettledBy(5)] {
        for seen in [held("0", 0), held("a", 1)] {
            let steps = [unknown(end.clone()), read(1, held("0", 0)), read(3, seen)];
            assert_eq!(check(start(), &steps), Ok(()));
        }
        let back = [unknown(end), read(1, held("a", 1)), read(3, held("0", 0))];
        assert_eq!(check(start(), &back), Err(Flaw::Unexplained { step: 2 }));
    }
}

#[test]
fn what_is_settled_does_not_happen_later() {
    let steps = |end| {
        let read = |at, ret| done(at, at + 1, Op::Get, ret);
        [Step { op: set("a"), invoked: 0, end }, read(1, held("0", 0)), read(5, held("0", 0)), read(7, held("a", 1))]
    };
    assert_eq!(check(start(), &steps(End::Open)), Ok(()));
    assert_eq!(check(start(), &steps(End::SettledBy(9))), Ok(()));
    assert_eq!(check(start(), &steps(End::SettledBy(4))), Err(Flaw::Unexplained { step: 3 }));
}

#[test]
fn an_ephemeral_goes_with_its_session_alone() {
    let (mine, yours) = (SessionId(1), SessionId(2));
    let steps = |ended| {
        [
            done(0, 1, Op::Create { data: data("a"), owner: Some(mine) }, Ret::Done),
            Step { op: Op::End(ended), invoked: 2, end: End::Open },
            done(3, 4, Op::Exists, Ret::Stat(None)),
        ]
    };
    assert_eq!(check(Node(None), &steps(mine)), Ok(()));
    assert_eq!(check(Node(None), &steps(yours)), Err(Flaw::Unexplained { step: 2 }));
}

/// Ten thousand operations by four clients, each write of which is blind: what is under way bounds the work.
#[test]
fn long_histories_are_cheap() {
    let steps = random(7, 4, 10_000, Lies::Never);
    assert_eq!(check(start(), &steps), Ok(()));
}

#[test]
fn too_many_possibilities_are_no_verdict() {
    let mut steps: Vec<NodeStep> =
        (0..24).map(|place| Step { op: set(NAMES[place % 5]), invoked: place, end: End::Open }).collect();
    steps.push(done(30, 31, Op::Get, held("a", 25)));
    assert_eq!(check(start(), &steps), Err(Flaw::TooMany { step: 24 }));
}

/// The same verdict as the tester of `stateright`, which tries every order.
#[test]
fn agrees_with_another_search() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..3000 {
        let steps = random(seed, 3, 7, Lies::Sometimes);
        let ours = check(start(), &steps);
        assert_eq!(ours.is_ok(), tried_every_way(&steps), "seed {seed}: {ours:?}: {steps:#?}");
        *if ours.is_ok() { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 500 && bad > 500, "{good} linearizable, {bad} not");
}

/// Each operation is a thread there, as one whose outcome is unknown never returns.
fn tried_every_way(steps: &[NodeStep]) -> bool {
    let mut events = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        events.insert(step.invoked, (index, None));
        if let End::Returned(place, ret) = &step.end {
            events.insert(*place, (index, Some(ret.clone())));
        }
    }
    let mut tester = LinearizabilityTester::new(start());
    for (index, ret) in events.into_values() {
        let told = match ret {
            None => tester.on_invoke(index, steps[index].op.clone()).map(drop),
            Some(ret) => tester.on_return(index, ret).map(drop),
        };
        told.expect("a history");
    }
    tester.is_consistent()
}

#[derive(Clone, Copy, PartialEq)]
enum Lies {
    Never,
    Sometimes,
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What clients of one node may see: each operation happens at a place between its beginning and its end. With lies some
/// answers are another operation's, and some operations have none.
fn random(seed: u64, clients: usize, operations: usize, lies: Lies) -> Vec<NodeStep> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut node, mut place, mut steps) = (start(), 0, Vec::<NodeStep>::new());
    // For each client its operation under way, and the answer once it has happened.
    let mut under_way: Vec<Option<(usize, Option<Ret>)>> = vec![None; clients];
    while steps.len() < operations || under_way.iter().any(Option::is_some) {
        let client = rng.random_range(0..clients);
        match under_way[client].take() {
            None if steps.len() == operations => continue,
            None => {
                under_way[client] = Some((steps.len(), None));
                steps.push(Step { op: any_op(&mut rng), invoked: place, end: End::Open });
            }
            Some((step, None)) => under_way[client] = Some((step, Some(node.invoke(&steps[step].op)))),
            Some((step, Some(ret))) => {
                let ret = match lies {
                    Lies::Sometimes if rng.random_bool(0.1) => start().invoke(&steps[step].op),
                    _ => ret,
                };
                let unknown = lies == Lies::Sometimes && rng.random_bool(0.2);
                steps[step].end = if unknown { End::Open } else { End::Returned(place, ret) };
            }
        }
        place += 1;
    }
    steps
}

fn any_op(rng: &mut StdRng) -> Op {
    let name = data(NAMES.choose(rng).expect("a name"));
    let expected = rng.random_bool(0.3).then(|| rng.random_range(0..3));
    match rng.random_range(0..8) {
        0 => Op::Create { data: name, owner: None },
        1 => Op::Delete { expected },
        2 => Op::Exists,
        3 | 4 => Op::Get,
        _ => Op::Set { data: name, expected },
    }
}
