//! One write, from the coordinator's point of view.
//!
//! Each owner has a *share*: a copy that somebody must hold for it. The share of an owner that is down, or fails, passes
//! to the next live fallback if the write is sloppy; one fallback stands for one owner. The coordinator's own
//! share is the minting: nothing is sent before there is a dot, and then to all the others at once. A share counts when its
//! holder has the object on stable storage, and in pw if the holder is the owner and has a lease. At w (and pw) the client is
//! answered; the rest is still collected, and still passed on.
//!
//! While its partition changes hands a key has two *sets* of n owners: those who are read from, and the others. Both need their
//! w and their pw, so that whoever is read from afterwards has it. Who is in both sets has one share that counts in each, and so has
//! the fallback that stands in for it.
//!
//! If the ring changes while a write is in flight, its shares are planned anew ([`WriteMachine::rebase`]) for the same dot.

use std::sync::Arc;

use super::Shortfall;
use super::size::QuorumSizes;
use super::tally::{Tally, Verdict};
use crate::core::id::StoreId;
use crate::core::ring::Route;
use crate::mutant;

/// What the coordinator does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteAction {
    /// Mint the dot here and store the result; a copy for `hint` if that is not this store's own share.
    Mint {
        /// The owner that this store stands in for.
        hint: Option<StoreId>,
    },
    /// Send the merged object.
    Send {
        /// To whom.
        to: StoreId,
        /// The owner that it stands in for.
        hint: Option<StoreId>,
    },
    /// Answer the client.
    Answer(Result<(), Shortfall>),
}

/// Those who are read from, or the owners that are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Set {
    Owners,
    Others,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Held { leased: bool },
    Failed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Share {
    owner: StoreId,
    holder: StoreId,
    state: State,
}

impl Share {
    fn hint(&self) -> Option<StoreId> {
        (self.holder != self.owner).then_some(self.owner)
    }

    fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    fn send(&self) -> WriteAction {
        WriteAction::Send { to: self.holder, hint: self.hint() }
    }
}

/// Who can be reached, as the coordinator sees it at this moment.
pub type Live<'a> = &'a dyn Fn(StoreId) -> bool;

/// One write in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteMachine {
    sizes: QuorumSizes,
    route: Arc<Route>,
    coordinator: StoreId,
    shares: Vec<Share>,
    /// Where among the route's fallbacks the next one is looked for.
    next_fallback: usize,
    minted: bool,
    answered: bool,
}

impl WriteMachine {
    /// Plans a write along `route`. `coordinator` is an owner, or, if the write is sloppy, a fallback that was asked to
    /// coordinate because no owner could be. Refused if too few of the nodes that are `live` could ever hold it; nothing is sent
    /// then.
    pub fn start(
        sizes: QuorumSizes,
        route: Arc<Route>,
        coordinator: StoreId,
        live: Live,
    ) -> Result<(WriteMachine, Vec<WriteAction>), Shortfall> {
        let shares = shares(&route, sizes.n);
        let mut machine =
            WriteMachine { sizes, route, coordinator, shares, next_fallback: 0, minted: false, answered: false };
        machine.take_a_share(live);
        for i in 0..machine.shares.len() {
            let holder = machine.shares[i].holder;
            if holder != coordinator && !live(holder) {
                machine.pass_on(i, live);
            }
        }
        let own = machine.shares.iter().find(|s| s.holder == coordinator && s.state == State::Waiting);
        match own.map(Share::hint).filter(|_| machine.verdict() != Verdict::Lost) {
            Some(hint) => Ok((machine, vec![WriteAction::Mint { hint }])),
            None => Err(Shortfall { applied: false, ..machine.shortfall(false) }),
        }
    }

    /// Goes on along a newer route with the dot that it has. What an owner of that route holds already counts, and so does the copy of
    /// a fallback that stands in for one; everybody else is sent the object again. Whoever runs the machine must not pass on
    /// anything more that comes of what was sent before.
    pub fn rebase(&mut self, route: Arc<Route>, live: Live) -> Vec<WriteAction> {
        let n = self.sizes.n;
        let before = std::mem::replace(&mut self.shares, shares(&route, n));
        (self.route, self.next_fallback) = (route, 0);
        for share in &mut self.shares {
            let owner = share.owner;
            let stands_in = |s: &&Share| s.owner == owner && !self.route.is_owner(s.holder, n);
            let is_able = |s: &&Share| s.state == State::Waiting && (s.holder == self.coordinator || live(s.holder));
            let own = before.iter().find(|s| s.holder == owner && s.is_held());
            if let Some(held) = own.or(before.iter().filter(|s| s.is_held()).find(stands_in)) {
                (share.holder, share.state) = (held.holder, held.state);
            } else if owner != self.coordinator && !live(owner) {
                share.holder = before.iter().filter(is_able).find(stands_in).map_or(owner, |s| s.holder);
            }
        }
        for i in 0..self.shares.len() {
            let Share { holder, state, .. } = self.shares[i];
            if state == State::Waiting && holder != self.coordinator && !live(holder) {
                self.pass_on(i, live);
            }
        }
        let waiting = self.shares.iter().filter(|s| s.state == State::Waiting);
        let mut actions: Vec<WriteAction> = waiting.map(Share::send).collect();
        actions.append(&mut self.settle());
        actions
    }

    /// A coordinator that is no owner stands in for the first owner that is down; if it finds them all up, for the last.
    fn take_a_share(&mut self, live: Live) {
        if !self.sizes.sloppy || self.route.is_owner(self.coordinator, self.sizes.n) {
            return;
        }
        let last = self.shares.len().saturating_sub(1);
        let place = self.shares.iter().position(|s| !live(s.owner)).unwrap_or(last);
        if let Some(share) = self.shares.get_mut(place) {
            share.holder = self.coordinator;
        }
    }

    /// The dot is minted, the object merged: everybody else gets it.
    pub fn on_minted(&mut self) -> Vec<WriteAction> {
        self.minted = true;
        let others = self.shares.iter().filter(|s| s.state == State::Waiting && s.holder != self.coordinator);
        others.map(Share::send).collect()
    }

    /// `holder` has the object on stable storage; `leased` if it held a lease when it said so.
    pub fn on_stored(&mut self, holder: StoreId, leased: bool) -> Vec<WriteAction> {
        match self.waiting(holder) {
            Some(i) => self.shares[i].state = State::Held { leased },
            None => return vec![],
        }
        self.settle()
    }

    /// `holder` does not have it and will not: it is down, refused, or failed. (A coordinator that cannot mint is no case for
    /// this: there is nothing to hold, and whoever runs the machine ends the write.)
    pub fn on_failed(&mut self, holder: StoreId, live: Live) -> Vec<WriteAction> {
        let Some(i) = self.waiting(holder) else { return vec![] };
        self.pass_on(i, live);
        let mut actions = vec![];
        let share = &self.shares[i];
        if self.minted && share.state == State::Waiting {
            actions.push(share.send());
        }
        actions.append(&mut self.settle());
        actions
    }

    /// Time is up: who has not answered is not waited for.
    pub fn on_deadline(&mut self) -> Vec<WriteAction> {
        if std::mem::replace(&mut self.answered, true) {
            return vec![];
        }
        vec![WriteAction::Answer(Err(self.shortfall(true)))]
    }

    /// Whether nothing is left to wait for.
    pub fn is_done(&self) -> bool {
        self.answered && self.shares.iter().all(|s| s.state != State::Waiting)
    }

    /// Whether a dot exists: from then on the write may take effect whatever the client is told.
    pub fn is_minted(&self) -> bool {
        self.minted
    }

    /// Whether pw asks for owners.
    pub fn is_strict(&self) -> bool {
        self.sizes.is_strict()
    }

    /// Who holds it on stable storage.
    pub fn holders(&self) -> impl Iterator<Item = StoreId> {
        self.shares.iter().filter(|s| s.is_held()).map(|s| s.holder)
    }

    /// Gives the share to the next live fallback that holds none yet, or up.
    fn pass_on(&mut self, i: usize, live: Live) {
        let is_free = |store: StoreId| store != self.coordinator && self.shares.iter().all(|s| s.holder != store);
        let mut rest = self.route.fallbacks(self.sizes.n).enumerate().skip(self.next_fallback);
        match rest.find(|&(_, store)| self.sizes.sloppy && is_free(store) && live(store)) {
            Some((at, holder)) => (self.shares[i].holder, self.next_fallback) = (holder, at + 1),
            None => self.shares[i].state = State::Failed,
        }
    }

    fn waiting(&self, holder: StoreId) -> Option<usize> {
        self.shares.iter().position(|s| s.holder == holder && s.state == State::Waiting)
    }

    fn settle(&mut self) -> Vec<WriteAction> {
        let result = match self.verdict() {
            Verdict::Met => Ok(()),
            Verdict::Lost => Err(self.shortfall(false)),
            Verdict::Open => return vec![],
        };
        if std::mem::replace(&mut self.answered, true) { vec![] } else { vec![WriteAction::Answer(result)] }
    }

    /// The sets that need a quorum.
    fn sets(&self) -> impl Iterator<Item = Set> {
        let in_motion = !self.route.others.is_empty();
        let owners = (!in_motion || !mutant!(WriteQuorumInNewSetOnly)).then_some(Set::Owners);
        owners.into_iter().chain(in_motion.then_some(Set::Others))
    }

    fn shares_of(&self, set: Set) -> impl Iterator<Item = &Share> {
        let members = match set {
            Set::Owners => self.route.owners(self.sizes.n),
            Set::Others => self.route.others(self.sizes.n),
        };
        self.shares.iter().filter(|s| members.contains(&s.owner))
    }

    fn tally(&self, set: Set) -> Tally {
        let mut tally = Tally::new(self.sizes.needed, self.sizes.primaries);
        for share in self.shares_of(set) {
            if let State::Held { leased } = share.state {
                tally.count(leased && share.hint().is_none());
            }
        }
        tally
    }

    fn verdict_of(&self, set: Set) -> Verdict {
        let open = || self.shares_of(set).filter(|s| s.state == State::Waiting);
        self.tally(set).verdict(open().count() as u8, open().filter(|s| s.hint().is_none()).count() as u8)
    }

    fn verdict(&self) -> Verdict {
        if self.sets().any(|set| self.verdict_of(set) == Verdict::Lost) {
            Verdict::Lost
        } else if self.sets().all(|set| self.verdict_of(set) == Verdict::Met) {
            Verdict::Met
        } else {
            Verdict::Open
        }
    }

    /// What is short, in the set that is.
    fn shortfall(&self, timed_out: bool) -> Shortfall {
        let is_short = |&set: &Set| self.verdict_of(set) != Verdict::Met;
        let is_lost = |&set: &Set| self.verdict_of(set) == Verdict::Lost;
        let set = self.sets().find(is_lost).or(self.sets().find(is_short)).unwrap_or(Set::Owners);
        let tally = self.tally(set);
        let missing = self.shares_of(set).filter(|s| !s.is_held() || s.hint().is_some());
        let without_lease = |s: &&Share| s.state == State::Held { leased: false } && s.hint().is_none();
        let unleased = self.shares_of(set).filter(|_| self.is_strict()).filter(without_lease);
        Shortfall {
            needed: tally.needed,
            got: tally.got,
            primaries_needed: tally.primaries_needed,
            primaries_got: tally.primaries_got,
            missing: missing
                .filter(|s| timed_out || s.state == State::Failed || s.hint().is_some())
                .map(|s| s.owner)
                .collect(),
            unleased: unleased.map(|s| s.owner).collect(),
            // The minting was ordered and cannot be called back, even if nobody has heard of it yet.
            applied: true,
            timed_out,
        }
    }
}

/// One share for each of the first `n` owners of either set, held by nobody yet.
fn shares(route: &Route, n: u8) -> Vec<Share> {
    let (owners, others) = (route.owners(n), route.others(n));
    let new = others.iter().filter(|store| !owners.contains(store));
    owners.iter().chain(new).map(|&s| Share { owner: s, holder: s, state: State::Waiting }).collect()
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
