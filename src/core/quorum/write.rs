//! One write, from the coordinator's point of view.
//!
//! Each of the n owners has a *share*: a copy that somebody must hold for it. The share of an owner that is down, or fails, passes
//! to the next live fallback if the write is sloppy; one fallback stands for one owner. The coordinator's own
//! share is the minting: nothing is sent before there is a dot, and then to all the others at once. A share counts when its
//! holder has the object on stable storage, and in pw if the holder is the owner and has a lease. At w (and pw) the client is answered; the rest is still collected, and still passed on.

use std::sync::Arc;

use super::Shortfall;
use super::size::QuorumSizes;
use super::tally::{Tally, Verdict};
use crate::core::id::StoreId;

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
}

/// Who can be reached, as the coordinator sees it at this moment.
pub type Live<'a> = &'a dyn Fn(StoreId) -> bool;

/// One write in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteMachine {
    sizes: QuorumSizes,
    coordinator: StoreId,
    shares: Vec<Share>,
    /// The preference list: owners, then fallbacks.
    order: Arc<[StoreId]>,
    /// Where in `order` the next fallback is looked for.
    next_fallback: usize,
    minted: bool,
    answered: bool,
}

impl WriteMachine {
    /// Plans a write over the preference list `order`, whose first n are the owners. `coordinator` is one of them, or, if the write is
    /// sloppy, a fallback that was asked to coordinate because no owner could be. Refused if too few of the
    /// nodes that are `live` could ever hold it; nothing is sent then.
    pub fn start(
        sizes: QuorumSizes,
        order: Arc<[StoreId]>,
        coordinator: StoreId,
        live: Live,
    ) -> Result<(WriteMachine, Vec<WriteAction>), Shortfall> {
        let n = (sizes.n as usize).min(order.len());
        let shares = order[..n].iter().map(|&s| Share { owner: s, holder: s, state: State::Waiting }).collect();
        let mut machine =
            WriteMachine { sizes, coordinator, shares, order, next_fallback: n, minted: false, answered: false };
        machine.take_a_share(live);
        for i in 0..n {
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

    /// A coordinator that is no owner stands in for the first owner that is down; if it finds them all up, for the last.
    fn take_a_share(&mut self, live: Live) {
        if !self.sizes.sloppy || self.shares.iter().any(|s| s.owner == self.coordinator) {
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
        others.map(|s| WriteAction::Send { to: s.holder, hint: s.hint() }).collect()
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
            actions.push(WriteAction::Send { to: share.holder, hint: share.hint() });
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
        let rest = if self.sizes.sloppy { &self.order[self.next_fallback..] } else { &[] };
        match rest.iter().position(|&s| s != self.coordinator && live(s)) {
            Some(skip) => {
                self.shares[i].holder = rest[skip];
                self.next_fallback += skip + 1;
            }
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

    fn tally(&self) -> Tally {
        let mut tally = Tally::new(self.sizes.needed, self.sizes.primaries);
        for share in &self.shares {
            if let State::Held { leased } = share.state {
                tally.count(leased && share.hint().is_none());
            }
        }
        tally
    }

    fn verdict(&self) -> Verdict {
        let open = self.shares.iter().filter(|s| s.state == State::Waiting);
        self.tally().verdict(open.clone().count() as u8, open.filter(|s| s.hint().is_none()).count() as u8)
    }

    fn shortfall(&self, timed_out: bool) -> Shortfall {
        let tally = self.tally();
        let missing = self.shares.iter().filter(|s| !s.is_held() || s.hint().is_some());
        let without_lease = |s: &&Share| s.state == State::Held { leased: false } && s.hint().is_none();
        let unleased = self.shares.iter().filter(|_| self.is_strict()).filter(without_lease);
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

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
