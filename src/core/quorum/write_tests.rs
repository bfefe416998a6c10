//! Random writes against what can be seen from outside: who was sent a copy, who stored it with a lease or without, who
//! failed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::core::id::{Epoch, Partition};

#[derive(Clone, Debug)]
struct Setting {
    sizes: QuorumSizes,
    route: Arc<Route>,
    /// The two sets; the second is empty at rest.
    sets: [BTreeSet<StoreId>; 2],
    coordinator: StoreId,
    live: BTreeSet<StoreId>,
}

impl Setting {
    fn is_owner(&self, store: StoreId) -> bool {
        self.sets.iter().any(|set| set.contains(&store))
    }

    fn owners(&self) -> BTreeSet<StoreId> {
        &self.sets[0] | &self.sets[1]
    }

    /// The sets that need a quorum.
    fn in_use(&self) -> impl Iterator<Item = &BTreeSet<StoreId>> {
        self.sets.iter().filter(|set| !set.is_empty())
    }

    fn all(&self) -> Vec<StoreId> {
        self.owners().into_iter().chain(self.route.fallbacks(self.sizes.n)).collect()
    }
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

/// A partition at rest, or one of whose n owners so many are replaced, at places and by an order of any kind.
fn a_route(n: u8, fallbacks: u128) -> impl Strategy<Value = Route> {
    let stores = |from: u128, to: u128| (from..to).map(StoreId).collect::<Vec<_>>();
    let n = u128::from(n);
    proptest::option::of((0..=n, any::<bool>())).prop_map(move |motion| {
        let owners = stores(1, n + 1);
        let (others, next) = match motion {
            None => (vec![], n + 1),
            Some((replaced, first)) => {
                let new = stores(n + 1, n + 1 + replaced);
                let others = if first {
                    new.iter().chain(&owners[replaced as usize..]).copied().collect()
                } else {
                    owners[..(n - replaced) as usize].iter().chain(&new).copied().collect()
                };
                (others, n + 1 + replaced)
            }
        };
        let (partition, since) = (Partition(0), Epoch::default());
        Route { partition, since, owners, others, strangers: stores(next, next + fallbacks) }
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let route = (1u8..=5, 0u128..=4).prop_flat_map(|(n, fallbacks)| (Just(n), a_route(n, fallbacks)));
    (route, any::<bool>(), any::<(u8, u8, u8)>(), any::<u16>()).prop_map(
        |((n, route), sloppy, (needed, primaries, coordinator), down)| {
            let needed = 1 + needed % n;
            let sizes = QuorumSizes { n, needed, primaries: primaries % (needed + 1), sloppy };
            let sets = [route.owners(n), route.others(n)].map(|set| set.iter().copied().collect());
            let live = BTreeSet::new();
            let mut setting = Setting { sizes, route: route.into(), sets, coordinator: StoreId(0), live };
            let all = setting.all();
            setting.coordinator = all[coordinator as usize % all.len()];
            let is_live = |store: &StoreId| *store == setting.coordinator || down >> store.0 & 1 == 0;
            setting.live = all.into_iter().filter(is_live).collect();
            setting
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

/// The fallbacks that are left, and the owners for whom there was none.
#[derive(Clone, Debug)]
struct Stock {
    /// The owner whose place a coordinator that is none takes.
    displaced: Option<StoreId>,
    left: usize,
    given_up: BTreeSet<StoreId>,
}

impl Stock {
    fn of(setting: &Setting) -> Stock {
        let Setting { route, sizes, live, coordinator, .. } = setting;
        let mut owners: Vec<StoreId> = route.owners(sizes.n).to_vec();
        owners.extend(route.others(sizes.n).iter().filter(|store| !setting.sets[0].contains(store)));
        let is_down = |store: &&StoreId| !live.contains(store);
        let stands_in = sizes.sloppy && !setting.is_owner(*coordinator);
        let displaced = stands_in.then(|| owners.iter().find(is_down).or(owners.last()).copied()).flatten();
        let is_free = |store: &StoreId| store != coordinator && live.contains(store);
        let left = if sizes.sloppy { route.fallbacks(sizes.n).filter(is_free).count() } else { 0 };
        let mut stock = Stock { displaced, left, given_up: BTreeSet::new() };
        owners.iter().filter(is_down).filter(|store| Some(**store) != displaced).for_each(|&owner| stock.take(owner));
        stock
    }

    /// Somebody is needed in place of `owner`, or of who stood in for it.
    fn take(&mut self, owner: StoreId) {
        match self.left {
            0 => _ = self.given_up.insert(owner),
            _ => self.left -= 1,
        }
    }
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
    stock: Stock,
    answer: Option<Result<(), Shortfall>>,
}

impl Observed {
    fn start(setting: Setting) -> Result<Observed, Shortfall> {
        let live = |store| setting.live.contains(&store);
        let (machine, actions) = WriteMachine::start(setting.sizes, setting.route.clone(), setting.coordinator, &live)?;
        let [WriteAction::Mint { hint }] = actions[..] else { panic!("a write begins with the minting: {actions:?}") };
        let sent = BTreeMap::from([(setting.coordinator, hint)]);
        let (held, failed) = (BTreeMap::new(), BTreeSet::new());
        let stock = Stock::of(&setting);
        assert_eq!(stock.displaced, hint);
        Ok(Observed { setting, machine, minted: false, sent, held, failed, stock, answer: None })
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
            false => self.setting.owners().iter().filter(unsent).filter(|s| !settled(s)).copied().collect(),
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
                self.stock.take(self.sent.get(&store).copied().flatten().unwrap_or(store));
                self.machine.on_failed(store, &live)
            }
            Event::Stray(i) => {
                let strays = self.setting.all().into_iter();
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
                    assert_eq!(hint.is_none(), self.setting.is_owner(to), "owners hold, fallbacks stand in");
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
        let Err(short) = answer else { return assert_eq!(self.verdict(), Verdict::Met) };
        assert_eq!(self.verdict(), if deadline { Verdict::Open } else { Verdict::Lost });
        assert_eq!(short.timed_out, deadline);
        assert!(short.applied, "the minting was ordered: the write may take effect");
        assert!(short.missing.iter().all(|owner| !self.held.contains_key(owner)));
        // It is told of a set that is short.
        let strict = self.setting.sizes.primaries > 0;
        let is_told_of = |set: &&BTreeSet<StoreId>| {
            let unleased = if strict { self.owners_that_hold(set, false) } else { BTreeSet::new() };
            self.verdict_of(set) == self.verdict()
                && short.got as usize == self.shares_held(set)
                && short.primaries_got as usize == self.owners_that_hold(set, true).len()
                && short.unleased.iter().copied().collect::<BTreeSet<_>>() == unleased
        };
        assert!(self.setting.in_use().any(|set| is_told_of(&set)), "{short:?} is true of neither set");
    }

    /// How many of a set's shares somebody holds.
    fn shares_held(&self, set: &BTreeSet<StoreId>) -> usize {
        self.held.keys().filter(|holder| set.contains(&self.sent[holder].unwrap_or(**holder))).count()
    }

    fn owners_that_hold(&self, set: &BTreeSet<StoreId>, with_lease: bool) -> BTreeSet<StoreId> {
        let held = self.held.iter().filter(|(store, leased)| set.contains(store) && **leased == with_lease);
        held.map(|(&store, _)| store).collect()
    }

    /// Whether an owner can hold its own share.
    fn is_able(&self, owner: StoreId) -> bool {
        let displaced = self.sent[&self.setting.coordinator];
        self.setting.live.contains(&owner) && !self.failed.contains(&owner) && displaced != Some(owner)
    }

    fn verdict(&self) -> Verdict {
        let verdicts: Vec<Verdict> = self.setting.in_use().map(|set| self.verdict_of(set)).collect();
        if verdicts.contains(&Verdict::Lost) {
            Verdict::Lost
        } else if verdicts.contains(&Verdict::Open) {
            Verdict::Open
        } else {
            Verdict::Met
        }
    }

    /// The verdict from first principles: who holds it, and the most that could ever hold it; as owners, only with a lease.
    fn verdict_of(&self, set: &BTreeSet<StoreId>) -> Verdict {
        let Setting { sizes, .. } = &self.setting;
        let able_to_count =
            set.iter().filter(|&&owner| self.is_able(owner)).count() - self.owners_that_hold(set, false).len();
        let (w, pw) = (sizes.needed as usize, sizes.primaries as usize);
        if self.shares_held(set) >= w && self.owners_that_hold(set, true).len() >= pw {
            Verdict::Met
        } else if set.difference(&self.stock.given_up).count() < w || able_to_count < pw {
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
        let start = WriteMachine::start(setting.sizes, setting.route.clone(), setting.coordinator, &live);
        let Stock { displaced, given_up, .. } = Stock::of(&setting);
        let possible_in = |set: &BTreeSet<StoreId>| {
            let able = set.iter().filter(|owner| setting.live.contains(owner) && Some(**owner) != displaced);
            set.difference(&given_up).count() >= setting.sizes.needed as usize
                && able.count() >= setting.sizes.primaries as usize
        };
        let may_coordinate = setting.is_owner(setting.coordinator) || setting.sizes.sloppy;
        let possible = may_coordinate && setting.in_use().all(possible_in);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Carried over to another ring, a write is held by who held it as an owner or for one; whoever is to hold it and does not is sent
    /// it again, and it succeeds once both sets of that ring have their quorum, no sooner.
    #[test]
    fn goes_on_by_a_newer_ring(
        setting in setting(), events in proptest::collection::vec(event(), 0..20), newer in setting(), shift in 0u128..3,
    ) {
        let Ok(mut write) = Observed::start(setting.clone()) else { return Ok(()) };
        write.happen(Event::Minted);
        events.into_iter().filter(|event| !matches!(event, Event::Deadline)).for_each(|event| write.happen(event));
        let (before, was_answered) = (write.machine.clone(), write.answer.is_some());
        let n = setting.sizes.n;
        let moved = |stores: &[StoreId]| stores.iter().map(|store| StoreId(store.0 + shift)).collect::<Vec<_>>();
        let route = Arc::new(Route {
            owners: moved(newer.route.owners(n)),
            others: moved(newer.route.others(n)),
            strangers: moved(&newer.route.strangers),
            ..Route::clone(&newer.route)
        });
        let live = |store: StoreId| setting.coordinator == store || !newer.live.contains(&store) || store.0 % 3 == 1;
        let actions = write.machine.rebase(route.clone(), &live);

        let mut sent = BTreeMap::new();
        for action in &actions {
            match action {
                WriteAction::Mint { .. } => prop_assert!(false, "minted twice"),
                WriteAction::Send { to, hint } => {
                    prop_assert!(live(*to) && sent.insert(*to, *hint).is_none());
                    prop_assert_eq!(hint.is_none(), route.is_owner(*to, n));
                    prop_assert!(setting.sizes.sloppy || hint.is_none());
                    prop_assert!(!write.held.contains_key(to) || hint.is_some(), "an owner that holds it is sent it again");
                }
                WriteAction::Answer(_) => prop_assert!(!was_answered, "answered twice"),
            }
        }
        let holders: BTreeSet<StoreId> = write.machine.holders().collect();
        prop_assert!(holders.iter().all(|holder| write.held.contains_key(holder)));
        for owner in write.held.keys().filter(|store| route.is_owner(**store, n)) {
            prop_assert!(holders.contains(owner), "an owner that holds it counts");
        }
        for holder in holders.iter().filter(|store| !route.is_owner(**store, n)) {
            let owner = write.sent[holder];
            prop_assert!(owner.is_some_and(|owner| route.is_owner(owner, n)), "a hint counts for an owner that still is one");
        }
        prop_assert_eq!(before.is_minted(), write.machine.is_minted());

        // All that were sent it store it: then it has succeeded, unless it was lost at once.
        let mut answers: Vec<_> = actions.into_iter().filter(|action| matches!(action, WriteAction::Answer(_))).collect();
        for (store, _) in sent {
            answers.extend(write.machine.on_stored(store, true));
        }
        prop_assert_eq!(answers.len(), usize::from(!was_answered));
        if let Some(WriteAction::Answer(Ok(()))) = answers.first() {
            for set in [route.owners(n), route.others(n)].into_iter().filter(|set| !set.is_empty()) {
                let share_of = |holder: StoreId| write.machine.shares.iter().find(|s| s.holder == holder).map(|s| s.owner);
                let held = write.machine.holders().filter(|&holder| share_of(holder).is_some_and(|o| set.contains(&o)));
                prop_assert!(held.count() >= setting.sizes.needed as usize);
            }
        }
    }
}

const OWNERS: [StoreId; 3] = [StoreId(1), StoreId(2), StoreId(3)];

fn strict_all() -> WriteMachine {
    let sizes = QuorumSizes { n: 3, needed: 3, primaries: 3, sloppy: false };
    WriteMachine::start(sizes, at_rest().into(), OWNERS[0], &|_| true).expect("all are live").0
}

fn at_rest() -> Route {
    let (partition, since) = (Partition(0), Epoch::default());
    Route { partition, since, owners: OWNERS.to_vec(), others: vec![], strangers: vec![] }
}

/// The client must not be told that nothing was written while the order to mint is on its way.
#[test]
fn may_be_applied_from_the_order_to_mint() {
    let lost = strict_all().on_failed(OWNERS[1], &|_| true);
    assert!(matches!(&lost[..], [WriteAction::Answer(Err(short))] if short.applied && !short.timed_out), "{lost:?}");
    let late = strict_all().on_deadline();
    assert!(matches!(&late[..], [WriteAction::Answer(Err(short))] if short.applied && short.timed_out), "{late:?}");
}

#[cfg(feature = "mutants")]
#[test]
fn the_planted_fault_needs_no_quorum_of_those_who_are_read_from() {
    use crate::mutants::{Mutant, activate};
    let route = Arc::new(Route { others: [4, 5, 3].map(StoreId).to_vec(), ..at_rest() });
    let answered = || {
        let sizes = QuorumSizes { n: 3, needed: 2, primaries: 0, sloppy: true };
        let (mut write, _) = WriteMachine::start(sizes, route.clone(), OWNERS[0], &|_| true).expect("all are live");
        write.on_minted();
        [4, 5].into_iter().flat_map(|store| write.on_stored(StoreId(store), true)).count()
    };
    assert_eq!(answered(), 0);
    activate(Some(Mutant::WriteQuorumInNewSetOnly));
    let early = answered();
    activate(None);
    assert_eq!(early, 1);
}
