//! Whose turn it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::work::Whom;

/// A work that has no step under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate<I> {
    /// Which one.
    pub id: I,
    /// Whose disk it burdens most: a transfer's source; this store, for a drain.
    pub burdens: Whom,
    /// Whether it has done anything yet.
    pub is_begun: bool,
    /// It failed, or must wait, and is to be left alone until then.
    pub not_before: Duration,
    /// When its last step ended. Who has waited longest comes first.
    pub idle_since: Duration,
}

/// The next one to do a step, while steps that burden `busy` are under way; `None` while `at_once_max` are, or nobody can.
///
/// Whoever burdens the least burdened store comes first, so that no source is asked by all while another is idle. Among those,
/// what is begun goes before what is not: at most `at_once_max` are half done, unless some of them must wait.
pub fn turn<I: Copy + Ord>(
    now: Duration,
    candidates: impl IntoIterator<Item = Candidate<I>>,
    busy: impl IntoIterator<Item = Whom>,
    at_once_max: usize,
) -> Option<I> {
    let (mut burdens, mut at_once) = (BTreeMap::<Whom, usize>::new(), 0);
    for whom in busy {
        *burdens.entry(whom).or_default() += 1;
        at_once += 1;
    }
    if at_once >= at_once_max {
        return None;
    }
    let ready = candidates.into_iter().filter(|candidate| candidate.not_before <= now);
    let order =
        |c: &Candidate<I>| (burdens.get(&c.burdens).copied().unwrap_or_default(), !c.is_begun, c.idle_since, c.id);
    ready.min_by_key(order).map(|candidate| candidate.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::StoreId;

    fn candidate(id: u32, store: u128, is_begun: bool) -> Candidate<u32> {
        let burdens = Whom::Peer(StoreId(store));
        Candidate { id, burdens, is_begun, not_before: Duration::ZERO, idle_since: Duration::ZERO }
    }

    fn pick(candidates: &[Candidate<u32>], busy: &[u128], at_once_max: usize) -> Option<u32> {
        let busy = busy.iter().map(|store| Whom::Peer(StoreId(*store)));
        turn(Duration::from_secs(1), candidates.iter().copied(), busy, at_once_max)
    }

    #[test]
    fn what_is_begun_is_finished_first() {
        let waiting = [candidate(1, 1, false), candidate(2, 1, true)];
        assert_eq!(pick(&waiting, &[], 2), Some(2));
    }

    #[test]
    fn sources_share_the_load() {
        let waiting = [candidate(1, 1, true), candidate(2, 2, false)];
        assert_eq!(pick(&waiting, &[1], 2), Some(2));
        assert_eq!(pick(&waiting, &[2], 2), Some(1));
    }

    #[test]
    fn the_limit_binds() {
        let waiting = [candidate(1, 1, true)];
        assert_eq!(pick(&waiting, &[1, 2], 2), None);
        assert_eq!(pick(&waiting, &[1], 2), Some(1));
    }

    #[test]
    fn who_must_wait_is_passed_over() {
        let waits = Candidate { not_before: Duration::from_secs(2), ..candidate(1, 1, true) };
        assert_eq!(pick(&[waits, candidate(2, 1, false)], &[], 2), Some(2));
        assert_eq!(pick(&[waits], &[], 2), None);
    }

    #[test]
    fn who_has_waited_longest_comes_first() {
        let later = Candidate { idle_since: Duration::from_millis(5), ..candidate(1, 1, true) };
        assert_eq!(pick(&[later, candidate(2, 1, true)], &[], 2), Some(2));
    }
}
