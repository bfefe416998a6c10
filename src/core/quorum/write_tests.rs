//! Random writes against what can be seen from outside: who was sent a copy, who stored it with a lease or without, who
//! failed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Setting {
    sizes: QuorumSizes,
    owners: BTreeSet<StoreId>,
    order: Vec<StoreId>,
    coordinator: StoreId,
    live: BTreeSet<StoreId>,
}

/// What happens next; the number picks to whom.
#[derive(Clone, Copy, Debug)]
enum Event {
    Minted,
    /// `true` is with a lease.
    Stored(usize, bool),
    Failed(usize),
    /// An answer of somebody who was not asked, or has answered before.
    Stray(usize),
    Deadline,
}

fn setting() -> impl Strategy<Value = Setting> {
    (1u8..=5, 0u128..=4, any::<bool>(), any::<(u8, u8, u8)>(), any::<u16>()).prop_map(
        |(n, fallbacks, sloppy, (needed, primaries, coordinator), down)| {
            let order: Vec<StoreId> = (1..=u128::from(n) + fallbacks).map(StoreId).collect();
            let needed = 1 + needed % n;
            let coordinator = order[coordinator as usize % order.len()];
            let is_live = |store: &StoreId| *store == coordinator || down >> store.0 & 1 == 0;
            Setting {
                sizes: QuorumSizes { n, needed, primaries: primaries % (needed + 1), sloppy },
                owners: order[..n as usize].iter().copied().collect(),
                live: order.iter().copied().filter(is_live).collect(),
                order,
                coordinator,
            }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Minted),
        6 => (any::<usize>(), proptest::bool::weighted(0.8)).prop_map(|(i, leased)| Event::Stored(i, leased)),
        4 => any::<usize>().prop_map(Event::Failed),
        1 => any::<usize>().prop_map(Event::Stray),
        1 => Just(Event::Deadline),
    ]
}

/// A write and all that its surroundings know of it.
struct Observed {
    setting: Setting,
    machine: WriteMachine,
    minted: bool,
    /// Who was sent a copy, with its hint.
    sent: BTreeMap<StoreId, Option<StoreId>>,
    /// Who stored it, and whether with a lease.
    held: BTreeMap<StoreId, bool>,
    failed: BTreeSet<StoreId>,
    answer: Option<Result<(), Shortfall>>,
}

impl Observed {
    fn start(setting: Setting) -> Result<Observed, Shortfall> {
        let live = |store| setting.live.contains(&store);
        let (machine, actions) =
            WriteMachine::start(setting.sizes, setting.order.clone().into(), setting.coordinator, &live)?;
        let [WriteAction::Mint { hint }] = actions[..] else { panic!("a write begins with the minting: {actions:?}") };
        let sent = BTreeMap::from([(setting.coordinator, hint)]);
        let (held, failed) = (BTreeMap::new(), BTreeSet::new());
        Ok(Observed { setting, machine, minted: false, sent, held, failed, answer: None })
    }

    /// Who may still answer. Nobody answers what was not sent, but a link can break before.
    fn pending(&self, storing: bool) -> Vec<StoreId> {
        let settled = |store: &&StoreId| self.held.contains_key(store) || self.failed.contains(store);
        let displaced = self.sent[&self.setting.coordinator];
        let unsent = |store: &&StoreId| {
            **store != self.setting.coordinator && self.setting.live.contains(store) && Some(**store) != displaced
        };
        match self.minted {
            true => self.sent.keys().filter(|s| !settled(s)).copied().collect(),
            false if storing => vec![],
            false => self.setting.owners.iter().filter(unsent).filter(|s| !settled(s)).copied().collect(),
        }
    }

    fn happen(&mut self, event: Event) {
        let setting = self.setting.clone();
        let live = |store| setting.live.contains(&store);
        let pick = |from: Vec<StoreId>, i: usize| (!from.is_empty()).then(|| from[i % from.len()]);
        let actions = match event {
            Event::Minted if self.minted => return,
            Event::Minted => {
                self.minted = true;
                self.machine.on_minted()
            }
            Event::Stored(i, leased) => {
                let Some(store) = pick(self.pending(true), i) else { return };
                self.held.insert(store, leased);
                self.machine.on_stored(store, leased)
            }
            Event::Failed(i) => {
                let Some(store) = pick(self.pending(false), i) else { return };
                self.failed.insert(store);
                self.machine.on_failed(store, &live)
            }
            Event::Stray(i) => {
                let strays = self.setting.order.iter().copied();
                let never_sent = |s: &StoreId| self.minted && !self.sent.contains_key(s);
                let Some(store) = pick(strays.filter(|s| self.held.contains_key(s) || never_sent(s)).collect(), i)
                else {
                    return;
                };
                let mut actions = self.machine.on_stored(store, true);
                actions.extend(self.machine.on_failed(store, &live));
                assert_eq!(actions, [], "{store:?} was not waited for");
                return;
            }
            Event::Deadline => self.machine.on_deadline(),
        };
        self.take(actions, matches!(event, Event::Deadline));
    }

    fn take(&mut self, actions: Vec<WriteAction>, deadline: bool) {
        for action in actions {
            match action {
                WriteAction::Mint { .. } => panic!("minted twice"),
                WriteAction::Send { to, hint } => {
                    assert!(self.minted, "sent before there is a dot");
                    assert!(self.sent.insert(to, hint).is_none(), "{to:?} was sent two copies");
                    assert_eq!(hint.is_none(), self.setting.owners.contains(&to), "owners hold, fallbacks stand in");
                    assert!(self.setting.sizes.sloppy || hint.is_none());
                    assert!(self.setting.live.contains(&to));
                }
                WriteAction::Answer(answer) => {
                    assert_eq!(self.answer, None, "answered twice");
                    self.check_answer(&answer, deadline);
                    self.answer = Some(answer);
                }
            }
        }
        let working = self.sent.iter().filter(|(holder, _)| !self.failed.contains(holder));
        let shares: Vec<StoreId> = working.map(|(&holder, hint)| hint.unwrap_or(holder)).collect();
        assert_eq!(shares.iter().collect::<BTreeSet<_>>().len(), shares.len(), "two stand for one owner");
        let holders: Vec<StoreId> = self.machine.holders().collect();
        assert_eq!(holders.len(), self.held.len(), "each store counts once");
        assert_eq!(holders.into_iter().collect::<BTreeSet<_>>(), self.held.keys().copied().collect());
        assert!(self.answer.is_some() || self.verdict() == Verdict::Open, "decided and not said");
    }

    fn check_answer(&self, answer: &Result<(), Shortfall>, deadline: bool) {
        match answer {
            Ok(()) => assert_eq!(self.verdict(), Verdict::Met),
            Err(short) => {
                assert_eq!(self.verdict(), if deadline { Verdict::Open } else { Verdict::Lost });
                assert_eq!(short.timed_out, deadline);
                assert_eq!(short.got as usize, self.held.len());
                assert!(short.applied, "the minting was ordered: the write may take effect");
                assert!(short.missing.iter().all(|owner| !self.held.contains_key(owner)));
                assert_eq!(short.primaries_got as usize, self.owners_that_hold(true).len(), "pw counts leases");
                let strict = self.setting.sizes.primaries > 0;
                let unleased = if strict { self.owners_that_hold(false) } else { BTreeSet::new() };
                assert_eq!(short.unleased.iter().copied().collect::<BTreeSet<_>>(), unleased);
            }
        }
    }

    fn owners_that_hold(&self, with_lease: bool) -> BTreeSet<StoreId> {
        let held =
            self.held.iter().filter(|(store, leased)| self.setting.owners.contains(store) && **leased == with_lease);
        held.map(|(&store, _)| store).collect()
    }

    /// The verdict from first principles: who holds it, and the most that could ever hold it; as owners, only with a lease.
    fn verdict(&self) -> Verdict {
        let Setting { sizes, owners, order, live, coordinator } = &self.setting;
        let displaced = self.sent[coordinator];
        let able = |store: &&StoreId| live.contains(store) && !self.failed.contains(store);
        let able_owners = owners.iter().filter(able).filter(|s| Some(**s) != displaced).count();
        let able_to_count = able_owners - self.owners_that_hold(false).len();
        let able_others = order.iter().filter(|s| !owners.contains(s)).filter(able).count();
        let most = (able_owners + if sizes.sloppy { able_others } else { 0 }).min(owners.len());
        let (w, pw) = (sizes.needed as usize, sizes.primaries as usize);
        if self.held.len() >= w && self.owners_that_hold(true).len() >= pw {
            Verdict::Met
        } else if most < w || able_to_count < pw {
            Verdict::Lost
        } else {
            Verdict::Open
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Answers once, at the first moment at which the outcome is certain, and honestly.
    #[test]
    fn answers_once_at_once_and_honestly(setting in setting(), events in proptest::collection::vec(event(), 0..40)) {
        let Ok(mut write) = Observed::start(setting.clone()) else { return Ok(()) };
        prop_assert_eq!(write.verdict(), Verdict::Open);
        events.into_iter().for_each(|event| write.happen(event));

        write.happen(Event::Minted);
        for turn in 0.. {
            if write.pending(true).is_empty() {
                break;
            }
            write.happen(if turn % 3 == 0 { Event::Failed(turn) } else { Event::Stored(turn, turn % 4 != 0) });
        }
        prop_assert!(write.answer.is_some(), "everybody answered, and the client waits");
        prop_assert!(write.machine.is_done());
    }

    /// What is refused at the start could not have been met, and nothing was sent for it.
    #[test]
    fn refuses_only_the_impossible(setting in setting()) {
        let live = |store| setting.live.contains(&store);
        let start = WriteMachine::start(setting.sizes, setting.order.clone().into(), setting.coordinator, &live);
        let owns = setting.owners.contains(&setting.coordinator);
        let live_owners = setting.owners.intersection(&setting.live).count();
        let most = if setting.sizes.sloppy { setting.live.len().min(setting.owners.len()) } else { live_owners };
        // A coordinator that is a fallback takes the place of an owner, of a live one if all are.
        let taken = usize::from(!owns && live_owners == setting.owners.len());
        let possible = most >= setting.sizes.needed as usize
            && live_owners - taken >= setting.sizes.primaries as usize
            && (owns || setting.sizes.sloppy);
        match start {
            Ok(_) => prop_assert!(possible),
            Err(short) => {
                prop_assert!(!possible);
                prop_assert!(!short.applied && !short.timed_out && short.got == 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Of two writes with the same answers, that in which some lack a lease never succeeds where the other does not.
    #[test]
    fn a_lease_less_never_helps(setting in setting(), stored in proptest::collection::vec(any::<(usize, bool)>(), 0..10)) {
        let run = |all_leased: bool| {
            let mut write = Observed::start(setting.clone()).ok()?;
            write.happen(Event::Minted);
            stored.iter().for_each(|&(i, leased)| write.happen(Event::Stored(i, leased || all_leased)));
            Some(write)
        };
        let (Some(some), Some(all)) = (run(false), run(true)) else { return Ok(()) };
        prop_assert!(some.held.keys().eq(all.held.keys()));
        if some.answer == Some(Ok(())) {
            prop_assert_eq!(&all.answer, &some.answer);
        }
        if setting.sizes.primaries == 0 {
            prop_assert_eq!(&all.answer, &some.answer, "sloppy requests know no leases");
        }
    }
}

const OWNERS: [StoreId; 3] = [StoreId(1), StoreId(2), StoreId(3)];

fn strict_all() -> WriteMachine {
    let sizes = QuorumSizes { n: 3, needed: 3, primaries: 3, sloppy: false };
    WriteMachine::start(sizes, OWNERS.into(), OWNERS[0], &|_| true).expect("all are live").0
}

/// The client must not be told that nothing was written while the order to mint is on its way.
#[test]
fn may_be_applied_from_the_order_to_mint() {
    let lost = strict_all().on_failed(OWNERS[1], &|_| true);
    assert!(matches!(&lost[..], [WriteAction::Answer(Err(short))] if short.applied && !short.timed_out), "{lost:?}");
    let late = strict_all().on_deadline();
    assert!(matches!(&late[..], [WriteAction::Answer(Err(short))] if short.applied && short.timed_out), "{late:?}");
}
