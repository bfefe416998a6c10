//! Owners that diverged at random become equal, at a cost that follows what differs.

use bytes::Bytes;
use proptest::prelude::*;

use crate::core::id::StoreId;
use crate::core::merkle::leaf_count;
use crate::core::repair::{Exchange, Exchanged};
use crate::core::transfer::tests::world::{PARTITIONS, Rules, Store, key, stored};
use crate::core::transfer::{Answer, Ask, Known, Step, Whom, Work};

const PEER: StoreId = StoreId(2);

/// What an exchange sent, in the bytes that matter.
fn weight(ask: &Ask, answer: &Answer) -> usize {
    let keys = |keys: &[Bytes]| keys.iter().map(Bytes::len).sum::<usize>();
    let asked = match ask {
        Ask::Sums { nodes, .. } => 4 * nodes.len(),
        Ask::Clocks { leaves, after } => 4 * leaves.len() + after.as_ref().map_or(0, Bytes::len),
        Ask::Objects { keys: named } => keys(named),
        Ask::Leaves | Ask::Pull { .. } => 0,
    };
    asked
        + match answer {
            Answer::Sums(sums) => 16 * sums.0.len(),
            Answer::Versions(page) => page.clocks.iter().map(|(key, _)| key.len() + 16).sum(),
            Answer::Objects(page) => page.objects.iter().map(|(_, object)| object.len()).sum(),
            _ => 0,
        }
}

/// Carries an exchange out; answers the bytes sent. `fails` says which steps fail before they are done.
fn run(
    exchange: &mut Exchange,
    own: &mut Store,
    peer: &mut Store,
    known: &dyn Known,
    mut fails: impl FnMut(&Step) -> bool,
) -> usize {
    let mut sent = 0;
    for _ in 0..100_000 {
        let step = exchange.next();
        if fails(&step) {
            exchange.failed();
            continue;
        }
        let answer = match &step {
            Step::Done => return sent,
            Step::Ask(Whom::Own, ask) => own.answer(ask),
            Step::Ask(Whom::Peer(store), ask) => {
                assert_eq!(*store, PEER);
                let answer = peer.answer(ask);
                sent += weight(ask, &answer);
                answer
            }
            Step::Store(whom, objects) => {
                assert!(!objects.is_empty());
                match whom {
                    Whom::Own => own.store(objects),
                    Whom::Peer(_) => {
                        sent += objects.iter().map(|(_, object)| object.len()).sum::<usize>();
                        peer.store(objects);
                    }
                }
                Answer::Stored
            }
            Step::Drop(_) => panic!("an exchange drops nothing"),
        };
        assert_eq!(exchange.answered(answer, known), None);
    }
    panic!("the exchange does not end");
}

fn compare(own: &mut Store, peer: &mut Store) -> (usize, Exchanged) {
    let mut exchange = Exchange::new(PEER, 1, None);
    let sent = run(&mut exchange, own, peer, &all(), |_| false);
    assert!(exchange.is_whole());
    (sent, exchange.exchanged())
}

fn all() -> Rules {
    Rules { all_have: Some(3), ..Rules::default() }
}

/// Two stores with the same keys.
fn twins(keys: u16, page: usize) -> (Store, Store) {
    let mut own = Store::new(page);
    (0..keys).for_each(|number| own.write(number, 7, true, 10));
    let peer = Store { page: page + 3, ..own.clone() };
    (own, peer)
}

#[derive(Clone, Copy, Debug)]
struct Write {
    number: u16,
    covers: bool,
    at: usize,
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write = (0..400u16, any::<bool>(), 0..3usize).prop_map(|(number, covers, at)| Write { number, covers, at });
    proptest::collection::vec(write, 0..60)
}

proptest! {
    #[test]
    fn two_become_equal_whatever_fails(
        held in 0..300u16, page in 1..40usize, writes in writes(),
        rotten in proptest::collection::vec((0..300u16, any::<bool>()), 0..4),
        failing in proptest::collection::vec(proptest::bool::weighted(0.2), 1..200),
    ) {
        let (mut own, mut peer) = twins(held, page);
        for Write { number, covers, at } in writes {
            let (store, actor) = if at == 0 { (&mut own, 1) } else { (&mut peer, 2) };
            store.write(number, actor, covers, 10);
        }
        for (number, here) in rotten {
            let (one, other) = if here { (&mut own, &peer) } else { (&mut peer, &own) };
            if one.held.contains_key(&stored(number)) && other.held.contains_key(&stored(number)) && !other.unreadable.contains(&stored(number)) {
                one.unreadable.insert(stored(number));
            }
        }
        let mut exchange = Exchange::new(PEER, 1, None);
        // Two in a row at most, so that nothing is given up.
        let (mut failing, mut row) = (failing.into_iter().cycle(), 0);
        run(&mut exchange, &mut own, &mut peer, &all(), |_| {
            row = if failing.next() == Some(true) && row < 2 { row + 1 } else { 0 };
            row > 0
        });
        prop_assert!(exchange.is_whole());
        prop_assert_eq!(own.leaves(), peer.leaves());
        prop_assert_eq!(&own.held, &peer.held);
        prop_assert!(own.unreadable.is_empty() && peer.unreadable.is_empty());
    }

    #[test]
    fn three_become_equal_when_each_was_compared_with_each(held in 0..200u16, page in 1..40usize, writes in writes()) {
        let (first, second) = twins(held, page);
        let mut stores = [first.clone(), second, first];
        for Write { number, covers, at } in writes {
            stores[at].write(number, at as u64 + 1, covers, 10);
        }
        // What the first pair learned last goes round once more.
        for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 1)] {
            let (left, right) = stores.split_at_mut(b);
            compare(&mut left[a], &mut right[0]);
        }
        prop_assert_eq!(&stores[0].held, &stores[1].held);
        prop_assert_eq!(&stores[1].held, &stores[2].held);
    }

    #[test]
    fn bytes_follow_what_differs(k in 0..40u16, spread in 1..97u16) {
        const KEYS: u16 = 4000;
        let (mut own, mut peer) = twins(KEYS, 512);
        (0..k).for_each(|i| peer.write(i * spread, 2, true, 10));
        let object = peer.held[&stored(0)].encode().len();
        let (sent, exchanged) = compare(&mut own, &mut peer);
        prop_assert_eq!(&own.held, &peer.held);
        prop_assert_eq!(exchanged.received, u64::from(k));
        prop_assert_eq!(exchanged.sent, 0, "who was ahead gets nothing back");
        let levels = leaf_count(PARTITIONS).ilog(16) as usize + 1;
        let in_a_leaf = 2 * KEYS as usize / leaf_count(PARTITIONS);
        let key = stored(0).len() + 16;
        let each = levels * 16 * 20 + in_a_leaf * key + 2 * object + 2 * key;
        prop_assert!(sent <= 64 + k as usize * each, "{sent} bytes for {k} keys");
    }

    #[test]
    fn only_what_is_for_both_and_asked_for_travels(numbers in proptest::collection::btree_set(0..300u16, 1..60), place in 0..4usize) {
        let (mut own, mut peer) = (Store::new(50), Store::new(50));
        numbers.iter().for_each(|number| peer.write(*number, 2, true, 10));
        let rules = Rules::default();
        let mut exchange = Exchange::new(PEER, place, None);
        run(&mut exchange, &mut own, &mut peer, &rules, |_| false);
        let expected: Vec<Bytes> =
            numbers.iter().filter(|n| place < rules.replicas(&key(**n))).map(|n| stored(*n)).collect();
        prop_assert_eq!(own.held.keys().cloned().collect::<Vec<_>>(), expected);

        let mut of_another = Exchange::new(PEER, 0, Some(Bytes::from_static(b"another")));
        let mut empty = Store::new(50);
        run(&mut of_another, &mut empty, &mut peer, &all(), |_| false);
        prop_assert!(empty.held.is_empty() && !of_another.is_whole());
    }
}

#[test]
fn what_is_equal_costs_a_root() {
    let (mut own, mut peer) = twins(1000, 100);
    let (sent, exchanged) = compare(&mut own, &mut peer);
    assert_eq!((sent, exchanged), (20, Exchanged::default()));
}

#[test]
fn what_neither_can_read_is_counted_and_stops_nothing() {
    let (mut own, mut peer) = twins(100, 10);
    own.unreadable.insert(stored(3));
    peer.unreadable.insert(stored(3));
    peer.held.remove(&stored(4));
    own.unreadable.insert(stored(4));
    peer.write(50, 2, true, 10);
    let (_, exchanged) = compare(&mut own, &mut peer);
    // What both cannot read is the same to their leaves; each has noticed by itself.
    assert_eq!((exchanged.unreadable, exchanged.received, exchanged.mended), (1, 1, 0));
    assert_eq!(own.held[&stored(50)], peer.held[&stored(50)]);
}

#[test]
fn one_that_cannot_be_stored_is_left_alone_and_proves_nothing() {
    let (mut own, mut peer) = twins(100, 50);
    (0..60).for_each(|number| peer.write(number, 2, true, 10));
    let mut exchange = Exchange::new(PEER, 1, None);
    let refused = key(17);
    run(
        &mut exchange,
        &mut own,
        &mut peer,
        &all(),
        |step| matches!(step, Step::Store(_, objects) if objects.iter().any(|(key, _)| *key == refused)),
    );
    assert!(!exchange.is_whole());
    // The version held here is refused there as well.
    assert_eq!((exchange.exchanged().skipped, exchange.exchanged().received), (2, 59));
    let different = own.held.iter().filter(|(stored, object)| peer.held[*stored] != **object).count();
    assert_eq!(different, 1);
}
