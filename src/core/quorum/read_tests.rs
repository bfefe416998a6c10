//! Random reads against what can be seen from outside: who was asked, who answered what, with a lease or without, who
//! failed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::core::version::{Actor, Context, Dot, Payload, Sibling, VersionVector};

#[derive(Clone, Debug)]
struct Setting {
    sizes: QuorumSizes,
    candidates: Candidates,
}

/// What happens next; the number picks to whom.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// `true` is with a lease.
    Fetched(usize, Found, bool),
    Failed(usize),
    Slow,
    Deadline,
}

#[derive(Clone, Copy, Debug)]
enum Found {
    Nothing,
    Garbage,
    /// One of [`versions`].
    Version(usize),
}

/// Two concurrent writes, one that covers the first, and all of them merged.
fn versions() -> Vec<Bytes> {
    let object = |seen: &[(u64, u64)], live: &[(u64, u64)]| {
        let actor = |incarnation| Actor { incarnation, birth: 1 };
        let siblings = live.iter().map(|&(of, counter)| Sibling {
            dot: Dot { actor: actor(of), counter },
            time: counter,
            payload: Payload::Value(Bytes::from(format!("{of}:{counter}"))),
            expires_ms: None,
        });
        let vector: VersionVector = seen.iter().map(|&(of, counter)| (actor(of), counter)).collect();
        Object { context: Context { vector, dots: vec![], time: 2 }, siblings: siblings.collect() }.encode()
    };
    vec![
        object(&[(1, 1)], &[(1, 1)]),
        object(&[(2, 1)], &[(2, 1)]),
        object(&[(1, 2)], &[(1, 2)]),
        object(&[(1, 2), (2, 1)], &[(1, 2), (2, 1)]),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    (1u8..=5, 0u128..=4, any::<bool>(), any::<(u8, u8)>(), any::<u8>()).prop_map(
        |(n, fallbacks, sloppy, (needed, primaries), down)| {
            let (down, live) = (1..=u128::from(n)).map(StoreId).partition(|store| down >> store.0 & 1 == 1);
            let fallbacks = (0..fallbacks).map(|i| StoreId(100 + i)).collect();
            let needed = 1 + needed % n;
            Setting {
                sizes: QuorumSizes { n, needed, primaries: primaries % (needed + 1), sloppy },
                candidates: Candidates { live, down, fallbacks },
            }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let found = prop_oneof![
        1 => Just(Found::Nothing),
        1 => Just(Found::Garbage),
        4 => (0..versions().len()).prop_map(Found::Version),
    ];
    prop_oneof![
        8 => (any::<usize>(), found, proptest::bool::weighted(0.8))
            .prop_map(|(i, found, leased)| Event::Fetched(i, found, leased)),
        3 => any::<usize>().prop_map(Event::Failed),
        2 => Just(Event::Slow),
        1 => Just(Event::Deadline),
    ]
}

/// A read and all that its surroundings know of it.
struct Observed {
    setting: Setting,
    machine: ReadMachine,
    asked: BTreeSet<StoreId>,
    found: BTreeMap<StoreId, Option<Bytes>>,
    /// Who answered without a lease.
    unleased: BTreeSet<StoreId>,
    failed: BTreeSet<StoreId>,
    answer: Option<Result<(), Shortfall>>,
    repaired: Option<BTreeSet<StoreId>>,
}

impl Observed {
    fn start(setting: Setting) -> Result<Observed, Shortfall> {
        let (machine, actions) = ReadMachine::start(setting.sizes, Conflict::Siblings, setting.candidates.clone())?;
        assert_eq!(actions.len(), setting.sizes.needed as usize, "as many are asked as must answer");
        let mut read = Observed {
            setting,
            machine,
            asked: BTreeSet::new(),
            found: BTreeMap::new(),
            unleased: BTreeSet::new(),
            failed: BTreeSet::new(),
            answer: None,
            repaired: None,
        };
        read.take(actions, false);
        Ok(read)
    }

    fn pending(&self) -> Vec<StoreId> {
        let settled = |store: &&StoreId| self.found.contains_key(store) || self.failed.contains(store);
        self.asked.iter().filter(|store| !settled(store)).copied().collect()
    }

    /// Nothing happens to a read that is done: whoever runs it has let go of it.
    fn happen(&mut self, event: Event) {
        if self.machine.is_done() {
            return;
        }
        let pending = self.pending();
        let pick = |i: usize| pending[i % pending.len()];
        let actions = match event {
            Event::Fetched(i, Found::Garbage, leased) => {
                let broken = self.machine.on_fetched(pick(i), Some(Bytes::from_static(b"no object")), leased);
                assert!(broken.is_err(), "garbage passed for an object");
                return self.happen(Event::Failed(i));
            }
            Event::Fetched(i, found, leased) => {
                let object = match found {
                    Found::Version(version) => Some(versions()[version].clone()),
                    _ => None,
                };
                self.found.insert(pick(i), object.clone());
                if !leased {
                    self.unleased.insert(pick(i));
                }
                self.machine.on_fetched(pick(i), object, leased).expect("a well-formed object")
            }
            Event::Failed(i) => {
                self.failed.insert(pick(i));
                self.machine.on_failed(pick(i))
            }
            Event::Slow => self.machine.on_slow(),
            Event::Deadline => self.machine.on_deadline(),
        };
        self.take(actions, matches!(event, Event::Deadline));
    }

    fn take(&mut self, actions: Vec<ReadAction>, deadline: bool) {
        let Candidates { live, fallbacks, .. } = self.setting.candidates.clone();
        let mut repaired = BTreeSet::new();
        for action in actions {
            match action {
                ReadAction::Fetch { from } => {
                    assert_eq!(self.answer, None, "asked after the answer");
                    assert!(self.asked.insert(from), "{from:?} was asked twice");
                    assert!(live.contains(&from) || self.setting.sizes.sloppy && fallbacks.contains(&from));
                }
                ReadAction::Answer(answer) => {
                    assert_eq!(self.answer, None, "answered twice");
                    self.check_answer(&answer, deadline);
                    self.answer = Some(answer);
                }
                ReadAction::Repair { to } => assert!(repaired.insert(to), "{to:?} was repaired twice"),
            }
        }
        assert_eq!(self.machine.answerers().collect::<BTreeSet<_>>(), self.found.keys().copied().collect());
        assert!(self.answer.is_some() || self.verdict() == Verdict::Open, "decided and not said");
        assert!(self.answer.is_some() || !self.pending().is_empty(), "open, and nobody is asked");
        assert_eq!(self.machine.is_done(), self.answer.is_some() && (deadline || self.pending().is_empty()));
        if self.machine.is_done() {
            self.check_repairs(&repaired);
            assert!(self.repaired.replace(repaired).is_none(), "done twice");
        } else {
            assert!(repaired.is_empty(), "repaired before all had answered");
        }
    }

    fn check_answer(&self, answer: &Result<(), Shortfall>, deadline: bool) {
        match answer {
            Ok(()) => assert_eq!(self.verdict(), Verdict::Met),
            Err(short) => {
                assert_eq!(self.verdict(), if deadline { Verdict::Open } else { Verdict::Lost });
                assert_eq!((short.timed_out, short.applied), (deadline, false));
                assert_eq!(short.got as usize, self.found.len());
                assert_eq!(short.primaries_got as usize, self.owners_found(), "pr counts leases");
                let strict = self.setting.sizes.primaries > 0;
                let unleased = self.unleased.iter().copied().filter(|store| strict && store.0 < 100);
                assert_eq!(short.unleased.iter().copied().collect::<BTreeSet<_>>(), unleased.collect());
            }
        }
    }

    /// Everything found is in the merge, and exactly the owners that hold less are repaired.
    fn check_repairs(&self, repaired: &BTreeSet<StoreId>) {
        let mut merged: Option<Object> = None;
        for object in self.found.values().flatten().map(|bytes| Object::decode(bytes).expect("well formed")) {
            match &mut merged {
                Some(merged) => {
                    merged.merge(&object, Conflict::Siblings);
                }
                None => merged = Some(object),
            }
        }
        assert_eq!(self.machine.merged(), merged.as_ref());
        let whole = merged.map(|object| object.encode());
        let behind = self.found.iter().filter(|(store, held)| store.0 < 100 && **held != whole);
        assert_eq!(*repaired, behind.map(|(&store, _)| store).collect());
    }

    /// Owners that answered with a lease.
    fn owners_found(&self) -> usize {
        self.found.keys().filter(|store| store.0 < 100 && !self.unleased.contains(store)).count()
    }

    /// The verdict from first principles: who answered, and the most that ever could; as owners, only with a lease.
    fn verdict(&self) -> Verdict {
        let Setting { sizes, candidates } = &self.setting;
        let able = |stores: &[StoreId]| stores.iter().filter(|store| !self.failed.contains(store)).count();
        let owners = able(&candidates.live);
        let stand_ins = if sizes.sloppy { able(&candidates.fallbacks).min(sizes.n as usize - owners) } else { 0 };
        let (r, pr) = (sizes.needed as usize, sizes.primaries as usize);
        let owners_able = owners - self.unleased.iter().filter(|store| store.0 < 100).count();
        if self.found.len() >= r && self.owners_found() >= pr {
            Verdict::Met
        } else if owners + stand_ins < r || owners_able < pr {
            Verdict::Lost
        } else {
            Verdict::Open
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Answers once, at the first moment at which the outcome is certain, and repairs exactly who was behind.
    #[test]
    fn answers_once_at_once_and_repairs(setting in setting(), events in proptest::collection::vec(event(), 0..30)) {
        let Ok(mut read) = Observed::start(setting) else { return Ok(()) };
        events.into_iter().for_each(|event| read.happen(event));
        for turn in 0.. {
            if read.machine.is_done() {
                break;
            }
            read.happen(if turn % 2 == 0 { Event::Failed(turn) } else { Event::Fetched(turn, Found::Nothing, turn % 3 == 0) });
        }
        prop_assert!(read.answer.is_some() && read.repaired.is_some());
    }

    /// What is refused at the start could not have been met.
    #[test]
    fn refuses_only_the_impossible(setting in setting()) {
        let Setting { sizes, candidates: Candidates { live, down, fallbacks } } = &setting;
        let stand_ins = if sizes.sloppy { fallbacks.len().min(down.len()) } else { 0 };
        let possible = live.len() + stand_ins >= sizes.needed as usize && live.len() >= sizes.primaries as usize;
        prop_assert_eq!(Observed::start(setting.clone()).is_ok(), possible);
    }
}

/// A hedged replica that fails after the answer is not made up for: nobody waits for it, and repair need not either.
#[test]
fn a_failure_after_the_answer_asks_nobody() {
    let stores: Vec<StoreId> = (1..=4).map(StoreId).collect();
    let candidates = Candidates { live: stores[..3].to_vec(), down: vec![], fallbacks: stores[3..].to_vec() };
    let sizes = QuorumSizes { n: 3, needed: 2, primaries: 0, sloppy: true };
    let (mut read, _) = ReadMachine::start(sizes, Conflict::Siblings, candidates).expect("all are live");
    read.on_slow();
    let versions = versions();
    read.on_fetched(stores[0], Some(versions[0].clone()), true).expect("well formed");
    read.on_fetched(stores[2], Some(versions[2].clone()), true).expect("well formed");
    assert_eq!(read.on_failed(stores[1]), [ReadAction::Repair { to: stores[0] }]);
    assert!(read.is_done());
}
