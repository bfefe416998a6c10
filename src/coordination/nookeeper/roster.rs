//! Who takes part, and how the leader makes it so.
//!
//! The wish is a [`Roster`]; what is comes from Raft. The leader goes from one to the other in single steps, each of which
//! leaves a majority of living voters: whoever is missing is added as a learner, learners that have caught up begin to vote,
//! then voters that are not wished for cease to, and last, stores that are gone are taken out. While a voter that is wished
//! for cannot be had yet, the one that it is to replace stays.
//!
//! A change of the voters is two entries of the log: both sets together, then the new one alone. A leader that is replaced, or gives
//! up waiting, between them leaves both in force; whoever leads then finishes that before anything else.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};

use super::link::Links;
use super::timing::Timing;
use super::types::{Endpoint, RaftId, Roster, Types};

/// A learner that lacks no more entries than this has caught up.
const LAG_MAX: u64 = 100;

/// One change of who takes part.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// Begins to learn.
    Add(RaftId, Endpoint),
    /// Is somewhere else.
    Move(RaftId, Endpoint),
    /// Begins to vote.
    Promote(RaftId),
    /// Votes no more, but learns.
    Demote(RaftId),
    /// Takes no part any more.
    Remove(RaftId),
    /// The newer one of two sets of voters is the only one.
    Finish,
}

/// Who takes part at present, and how they are.
struct Present<'a> {
    /// Whose view this is.
    leader: RaftId,
    voters: BTreeSet<RaftId>,
    /// Whether an earlier change of the voters is half done: two sets of them are in force.
    is_half_done: bool,
    /// Voters and learners.
    nodes: BTreeMap<RaftId, Endpoint>,
    is_live: &'a dyn Fn(RaftId) -> bool,
    has_caught_up: &'a dyn Fn(RaftId) -> bool,
}

impl Present<'_> {
    /// The next step, or `None` if all is as wished or has to wait.
    fn next(&self, wish: &Roster) -> Option<Step> {
        if self.is_half_done {
            return Some(Step::Finish);
        }
        let named = |store| RaftId { generation: self.leader.generation, store };
        let members: BTreeMap<RaftId, &Endpoint> = wish.members.iter().map(|(id, at)| (named(*id), at)).collect();
        let voters: BTreeSet<RaftId> =
            wish.voters.iter().map(|id| named(*id)).filter(|id| members.contains_key(id)).collect();
        self.add_or_move(&members).or_else(|| self.promote(&voters)).or_else(|| self.demote(&voters)).or_else(|| {
            let gone = |id: &&RaftId| !members.contains_key(id) && !self.voters.contains(id);
            // A wish without members is none.
            self.nodes.keys().find(gone).filter(|_| !members.is_empty()).map(|id| Step::Remove(*id))
        })
    }

    fn add_or_move(&self, members: &BTreeMap<RaftId, &Endpoint>) -> Option<Step> {
        members.iter().find_map(|(id, endpoint)| match self.nodes.get(id) {
            None => Some(Step::Add(*id, (*endpoint).clone())),
            Some(known) if known != *endpoint => Some(Step::Move(*id, (*endpoint).clone())),
            Some(_) => None,
        })
    }

    fn promote(&self, wished: &BTreeSet<RaftId>) -> Option<Step> {
        let ready = |id: &&RaftId| (self.is_live)(**id) && (self.has_caught_up)(**id);
        let next = wished.difference(&self.voters).find(ready)?;
        let mut after = self.voters.clone();
        after.insert(*next);
        self.is_safe(&after).then_some(Step::Promote(*next))
    }

    fn demote(&self, wished: &BTreeSet<RaftId>) -> Option<Step> {
        if self.voters.len() <= wished.len() || wished.is_empty() {
            return None;
        }
        // The dead first, since they only weaken the majority; the leader last, since it does this.
        let next = self.voters.difference(wished).min_by_key(|id| (**id == self.leader, (self.is_live)(**id)))?;
        let mut after = self.voters.clone();
        after.remove(next);
        self.is_safe(&after).then_some(Step::Demote(*next))
    }

    /// Whether a majority of these voters lives.
    fn is_safe(&self, voters: &BTreeSet<RaftId>) -> bool {
        let live = voters.iter().filter(|id| (self.is_live)(**id)).count();
        live > voters.len() / 2
    }
}

/// Follows the wish while `own` leads, for as long as it is polled.
pub(super) async fn follow(
    own: RaftId,
    raft: &openraft::Raft<Types>,
    links: &Links,
    wish: watch::Receiver<Option<Roster>>,
    timing: &Timing,
) {
    let mut beats = tokio::time::interval(timing.heartbeat());
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let step = wish.borrow().as_ref().and_then(|wish| next(own, raft, links, wish));
        let Some(step) = step else { continue };
        log::info!("coordination service: {step:?}");
        // It cannot be told whether a change that takes so long will be: it shows in the membership.
        match timeout(timing.call_timeout(), raft.change_membership(change(step.clone()), true)).await {
            Ok(Ok(_)) => (),
            Ok(Err(error)) => log::warn!("coordination service: {step:?} was not made: {error}"),
            Err(_) => log::warn!("coordination service: {step:?} finds no majority"),
        }
    }
}

fn next(own: RaftId, raft: &openraft::Raft<Types>, links: &Links, wish: &Roster) -> Option<Step> {
    let metrics = raft.metrics().borrow().clone();
    if metrics.current_leader != Some(own) {
        return None;
    }
    let membership = metrics.membership_config;
    // One change after the other: while one is under way, its entry is not applied.
    let is_applied = metrics.last_applied.map(|id| id.index) >= membership.log_id().map(|id| id.index);
    let membership = membership.membership();
    if !is_applied {
        return None;
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let replicated = metrics.replication.unwrap_or_default();
    let has_caught_up = |id| {
        let matching = replicated.get(&id).copied().flatten();
        matching.is_some_and(|matching| matching.index + LAG_MAX >= last)
    };
    Present {
        leader: own,
        voters: membership.voter_ids().collect(),
        is_half_done: membership.get_joint_config().len() > 1,
        nodes: membership.nodes().map(|(id, node)| (*id, node.clone())).collect(),
        is_live: &|id| links.is_live(id),
        has_caught_up: &has_caught_up,
    }
    .next(wish)
}

fn change(step: Step) -> ChangeMembers<RaftId, Endpoint> {
    match step {
        Step::Add(id, endpoint) => ChangeMembers::AddNodes(BTreeMap::from([(id, endpoint)])),
        // The crate warns of two names for one store and one name for two. Here whoever answers a dial says which store it
        // is, so an address that is wrong leads to nobody.
        Step::Move(id, endpoint) => ChangeMembers::SetNodes(BTreeMap::from([(id, endpoint)])),
        Step::Promote(id) => ChangeMembers::AddVoterIds(BTreeSet::from([id])),
        Step::Demote(id) => ChangeMembers::RemoveVoters(BTreeSet::from([id])),
        Step::Remove(id) => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
        // Nobody more than the newer set has.
        Step::Finish => ChangeMembers::AddVoterIds(BTreeSet::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::StoreId;

    fn id(store: u128) -> RaftId {
        RaftId { generation: 0, store: StoreId(store) }
    }

    fn at(store: u128) -> Endpoint {
        Endpoint { node: store as u32, address: format!("h{store}:1") }
    }

    fn wish(members: &[u128], voters: &[u128]) -> Roster {
        Roster {
            members: members.iter().map(|store| (StoreId(*store), at(*store))).collect(),
            voters: voters.iter().map(|store| StoreId(*store)).collect(),
        }
    }

    /// Makes the steps until there is none, led by `leader`, while `dead` do not answer; answers them as text, and who votes.
    fn steps(
        leader: u128,
        voters: &[u128],
        learners: &[u128],
        dead: &[u128],
        wish: &Roster,
    ) -> (Vec<String>, Vec<u128>) {
        steps_after(false, leader, voters, learners, dead, wish)
    }

    /// The same; perhaps after a change that was half done.
    fn steps_after(
        mut is_half_done: bool,
        leader: u128,
        voters: &[u128],
        learners: &[u128],
        dead: &[u128],
        wish: &Roster,
    ) -> (Vec<String>, Vec<u128>) {
        let mut voting: BTreeSet<RaftId> = voters.iter().copied().map(id).collect();
        let mut nodes: BTreeMap<RaftId, Endpoint> = voters.iter().chain(learners).map(|s| (id(*s), at(*s))).collect();
        let is_live = |id: RaftId| !dead.contains(&id.store.0);
        let mut made = vec![];
        loop {
            let present = Present {
                leader: id(leader),
                voters: voting.clone(),
                is_half_done,
                nodes: nodes.clone(),
                is_live: &is_live,
                has_caught_up: &is_live,
            };
            let Some(step) = present.next(wish) else { break };
            made.push(match step {
                Step::Add(id, endpoint) => {
                    nodes.insert(id, endpoint);
                    format!("add {}", id.store.0)
                }
                Step::Move(id, endpoint) => {
                    nodes.insert(id, endpoint);
                    format!("move {}", id.store.0)
                }
                Step::Promote(id) => {
                    voting.insert(id);
                    format!("promote {}", id.store.0)
                }
                Step::Demote(id) => {
                    voting.remove(&id);
                    format!("demote {}", id.store.0)
                }
                Step::Remove(id) => {
                    nodes.remove(&id);
                    format!("remove {}", id.store.0)
                }
                Step::Finish => {
                    is_half_done = false;
                    "finish".into()
                }
            });
            assert!(made.len() < 50, "it does not end: {made:?}");
        }
        (made, voting.into_iter().map(|id| id.store.0).collect())
    }

    #[test]
    fn a_dead_voter_is_replaced() {
        let (made, voters) = steps(1, &[1, 2, 3], &[], &[3], &wish(&[1, 2, 4], &[1, 2, 4]));
        assert_eq!(made, ["add 4", "promote 4", "demote 3", "remove 3"]);
        assert_eq!(voters, [1, 2, 4]);
    }

    #[test]
    fn a_voter_stays_until_its_successor_votes() {
        let (made, voters) = steps(1, &[1, 2, 3], &[4], &[4], &wish(&[1, 2, 4], &[1, 2, 4]));
        assert_eq!((made, voters), (vec![], vec![1, 2, 3]));
    }

    #[test]
    fn what_a_former_leader_left_half_done_is_finished_first() {
        let (made, voters) = steps_after(true, 1, &[1, 2, 3], &[], &[3], &wish(&[1, 2, 4], &[1, 2, 4]));
        assert_eq!(made, ["finish", "add 4", "promote 4", "demote 3", "remove 3"]);
        assert_eq!(voters, [1, 2, 4]);
        assert_eq!(steps_after(true, 1, &[1, 2, 3], &[], &[], &Roster::default()).0, ["finish"]);
    }

    #[test]
    fn no_step_loses_the_majority_of_the_living() {
        // Two of four would not be a majority.
        let (made, voters) = steps(1, &[1, 2, 3], &[4], &[2, 3], &wish(&[1, 2, 3, 4], &[1, 2, 3, 4]));
        assert_eq!((made, voters), (vec![], vec![1, 2, 3]));
        // The dead go first; then two of three live without the third.
        let (made, voters) = steps(1, &[1, 2, 3, 4, 5], &[], &[4, 5], &wish(&[1, 2, 3, 4, 5], &[1, 2, 4]));
        assert_eq!((made, voters), (vec!["demote 5".to_owned(), "demote 3".to_owned()], vec![1, 2, 4]));
    }

    #[test]
    fn the_leader_goes_last() {
        let (made, voters) = steps(1, &[1, 2, 3], &[4, 5], &[], &wish(&[4, 5, 3], &[3, 4, 5]));
        assert_eq!(made, ["promote 4", "promote 5", "demote 2", "demote 1", "remove 1", "remove 2"]);
        assert_eq!(voters, [3, 4, 5]);
    }

    #[test]
    fn a_store_that_moved_is_found_again() {
        let mut wish = wish(&[1, 2, 3], &[1, 2, 3]);
        wish.members.get_mut(&StoreId(2)).unwrap().address = "elsewhere:1".into();
        assert_eq!(steps(1, &[1, 2, 3], &[], &[], &wish).0, ["move 2"]);
    }

    #[test]
    fn an_empty_wish_is_none() {
        assert_eq!(steps(1, &[1, 2, 3], &[4], &[], &Roster::default()).0, Vec::<String>::new());
        assert_eq!(steps(1, &[1, 2, 3], &[], &[], &wish(&[1, 2, 3], &[])).0, Vec::<String>::new());
    }
}
