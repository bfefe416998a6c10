//! What every engine must do. Each engine's tests instantiate the suite with [`suite!`] and an [`Opener`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Batch, Engine, KEY_BYTES_MAX, Space, StorageError};

/// Opens one engine again and again. The earlier handle was dropped each time.
pub(super) trait Opener {
    /// An engine that holds nothing yet.
    fn fresh() -> Self;
    fn open(&self) -> Arc<dyn Engine>;
}

/// Makes one test of each function of the suite.
macro_rules! suite {
    ($opener:ty: $($case:ident)*) => {
        $(#[test] fn $case() { crate::storage::conformance::$case(&<$opener as crate::storage::conformance::Opener>::fresh()); })*
    };
    ($opener:ty) => {
        crate::storage::conformance::suite!($opener:
            absent_keys_are_none puts_overwrites_and_removes spaces_are_apart later_changes_of_a_batch_win
            empty_and_binary_values scans_in_order scans_by_prefix_after_and_limit reopening_shows_everything_synced
            large_values many_keys refuses_what_it_cannot_store scans_see_whole_batches behaves_like_a_map);
    };
}
pub(super) use suite;

fn put(engine: &dyn Engine, space: Space, key: &'static [u8], value: &'static [u8]) {
    let mut batch = Batch::default();
    batch.put(space, key, value);
    engine.apply(batch).unwrap();
}

fn keys(engine: &dyn Engine, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Bytes> {
    engine.scan(Space::Objects, prefix, after, limit).unwrap().into_iter().map(|(key, _)| key).collect()
}

pub(super) fn absent_keys_are_none(opener: &impl Opener) {
    let engine = opener.open();
    assert_eq!(engine.get(Space::Objects, b"nothing").unwrap(), None);
    assert_eq!(engine.scan(Space::Objects, b"", None, 10).unwrap(), []);
    engine.apply(Batch::default()).unwrap();
    engine.sync().unwrap();
}

pub(super) fn puts_overwrites_and_removes(opener: &impl Opener) {
    let engine = opener.open();
    put(&*engine, Space::Objects, b"key", b"one");
    put(&*engine, Space::Objects, b"key", b"two");
    assert_eq!(engine.get(Space::Objects, b"key").unwrap().unwrap(), "two");
    let mut batch = Batch::default();
    batch.remove(Space::Objects, &b"key"[..]);
    batch.remove(Space::Objects, &b"never there"[..]);
    engine.apply(batch).unwrap();
    assert_eq!(engine.get(Space::Objects, b"key").unwrap(), None);
    assert_eq!(engine.scan(Space::Objects, b"", None, 10).unwrap(), []);
}

pub(super) fn spaces_are_apart(opener: &impl Opener) {
    let engine = opener.open();
    put(&*engine, Space::Objects, b"key", b"object");
    put(&*engine, Space::Hints, b"key", b"hint");
    assert_eq!(engine.get(Space::Objects, b"key").unwrap().unwrap(), "object");
    assert_eq!(engine.get(Space::Hints, b"key").unwrap().unwrap(), "hint");
    assert_eq!(engine.get(Space::Meta, b"key").unwrap(), None);
}

pub(super) fn later_changes_of_a_batch_win(opener: &impl Opener) {
    let mut batch = Batch::default();
    batch.put(Space::Objects, &b"put last"[..], &b"one"[..]);
    batch.remove(Space::Objects, &b"put last"[..]);
    batch.put(Space::Objects, &b"put last"[..], &b"two"[..]);
    batch.put(Space::Objects, &b"removed last"[..], &b"three"[..]);
    batch.remove(Space::Objects, &b"removed last"[..]);
    {
        let engine = opener.open();
        engine.apply(batch).unwrap();
        engine.sync().unwrap();
        assert_eq!(engine.get(Space::Objects, b"put last").unwrap().unwrap(), "two");
        assert_eq!(keys(&*engine, b"", None, 10), ["put last"]);
    }
    let engine = opener.open();
    assert_eq!(engine.get(Space::Objects, b"put last").unwrap().unwrap(), "two");
    assert_eq!(keys(&*engine, b"", None, 10), ["put last"]);
}

pub(super) fn empty_and_binary_values(opener: &impl Opener) {
    let engine = opener.open();
    put(&*engine, Space::Meta, b"empty", b"");
    put(&*engine, Space::Meta, b"\x00\xff\x00", b"\x00\xff");
    assert_eq!(engine.get(Space::Meta, b"empty").unwrap().unwrap(), "");
    assert_eq!(engine.get(Space::Meta, b"\x00\xff\x00").unwrap().unwrap(), &b"\x00\xff"[..]);
}

pub(super) fn scans_in_order(opener: &impl Opener) {
    let engine = opener.open();
    for key in [&b"b"[..], b"\xff", b"a\x00", b"a", b"\x00", b"a\xff", b"ab"] {
        put(&*engine, Space::Objects, key, b"");
    }
    let expected: [&[u8]; 7] = [b"\x00", b"a", b"a\x00", b"ab", b"a\xff", b"b", b"\xff"];
    assert_eq!(keys(&*engine, b"", None, 10), expected);
}

pub(super) fn scans_by_prefix_after_and_limit(opener: &impl Opener) {
    let engine = opener.open();
    for key in [&b"a"[..], b"ab", b"ab1", b"ab2", b"ac", b"\xff", b"\xff\xff", b"\xff\xff1"] {
        put(&*engine, Space::Objects, key, b"");
    }
    assert_eq!(keys(&*engine, b"ab", None, 10), ["ab", "ab1", "ab2"]);
    assert_eq!(keys(&*engine, b"ab", None, 2), ["ab", "ab1"]);
    assert_eq!(keys(&*engine, b"ab", None, 0), [""; 0]);
    assert_eq!(keys(&*engine, b"ab", Some(b"ab"), 10), ["ab1", "ab2"]);
    assert_eq!(keys(&*engine, b"ab", Some(b"a"), 10), ["ab", "ab1", "ab2"], "after lies before the prefix");
    assert_eq!(keys(&*engine, b"ab", Some(b"b"), 10), [""; 0], "after lies behind the prefix");
    assert_eq!(keys(&*engine, b"ab", Some(b"ab15"), 10), ["ab2"], "after need not be there");
    assert_eq!(keys(&*engine, b"\xff\xff", None, 10), [&b"\xff\xff"[..], b"\xff\xff1"]);
    assert_eq!(keys(&*engine, b"", Some(b"ac"), 10), [&b"\xff"[..], b"\xff\xff", b"\xff\xff1"]);
}

pub(super) fn reopening_shows_everything_synced(opener: &impl Opener) {
    for round in 0..3u8 {
        let engine = opener.open();
        for earlier in 0..round {
            assert_eq!(engine.get(Space::Objects, &[earlier]).unwrap().unwrap(), vec![earlier; 9]);
        }
        let mut batch = Batch::default();
        batch.put(Space::Objects, vec![round], vec![round; 9]);
        engine.apply(batch).unwrap();
        engine.sync().unwrap();
    }
}

pub(super) fn large_values(opener: &impl Opener) {
    const BYTES: usize = 4 << 20;
    let value = |seed: u8| (0..BYTES).map(|at| (at / 251) as u8 ^ seed).collect::<Bytes>();
    {
        let engine = opener.open();
        for seed in 0..4 {
            let mut batch = Batch::default();
            batch.put(Space::Objects, vec![seed], value(seed));
            engine.apply(batch).unwrap();
        }
        engine.sync().unwrap();
        assert!(engine.disk_bytes() > 0);
    }
    let engine = opener.open();
    for seed in 0..4 {
        assert!(engine.get(Space::Objects, &[seed]).unwrap().unwrap() == value(seed));
    }
}

pub(super) fn many_keys(opener: &impl Opener) {
    const KEYS: u32 = 20_000;
    let engine = opener.open();
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let mut batch = Batch::default();
        for key in chunk {
            batch.put(Space::Objects, key.to_be_bytes().to_vec(), key.to_le_bytes().to_vec());
        }
        engine.apply(batch).unwrap();
    }
    let mut after: Option<Bytes> = None;
    let mut expected = 0u32;
    loop {
        let page = engine.scan(Space::Objects, b"", after.as_deref(), 999).unwrap();
        for (key, value) in &page {
            assert_eq!((&key[..], &value[..]), (&expected.to_be_bytes()[..], &expected.to_le_bytes()[..]));
            expected += 1;
        }
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => break,
        }
    }
    assert_eq!(expected, KEYS);
}

pub(super) fn refuses_what_it_cannot_store(opener: &impl Opener) {
    let engine = opener.open();
    for bytes in [0, KEY_BYTES_MAX + 1] {
        let mut batch = Batch::default();
        batch.put(Space::Objects, &b"good"[..], &b""[..]);
        batch.put(Space::Objects, vec![1; bytes], &b""[..]);
        let error = engine.apply(batch).unwrap_err();
        assert!(matches!(error, StorageError::OutOfBounds { .. }) && error.is_surely_unapplied(), "{error}");
        assert_eq!(engine.get(Space::Objects, b"good").unwrap(), None);
    }
    let mut batch = Batch::default();
    batch.put(Space::Objects, vec![1; KEY_BYTES_MAX], &b"longest"[..]);
    engine.apply(batch).unwrap();
    assert_eq!(engine.get(Space::Objects, &[1; KEY_BYTES_MAX]).unwrap().unwrap(), "longest");
}

/// A reader beside the writer never finds a batch half applied.
pub(super) fn scans_see_whole_batches(opener: &impl Opener) {
    const KEYS: u8 = 20;
    let engine = opener.open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..300u16 {
                let mut batch = Batch::default();
                for key in 0..KEYS {
                    batch.put(Space::Objects, vec![key], round.to_be_bytes().to_vec());
                }
                engine.apply(batch).unwrap();
            }
        });
        while !writer.is_finished() {
            let values: Vec<_> =
                engine.scan(Space::Objects, b"", None, 100).unwrap().into_iter().map(|(_, value)| value).collect();
            assert!(values.is_empty() || values.len() == KEYS as usize);
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<(Space, Vec<u8>, Option<Vec<u8>>)>),
    Sync,
    Reopen,
    Scan { space: Space, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let space = || prop::sample::select(&Space::ALL[..]);
    let byte = || prop_oneof![Just(0u8), Just(b'a'), Just(b'b'), Just(255)];
    let key = move || prop::collection::vec(byte(), 1..4);
    let part = move || prop::collection::vec(byte(), 0..4);
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    let changes = prop::collection::vec((space(), key(), value), 0..6);
    let scan = (space(), part(), prop::option::of(part()), 0..12usize)
        .prop_map(|(space, prefix, after, limit)| Step::Scan { space, prefix, after, limit });
    let step =
        prop_oneof![8 => changes.prop_map(Step::Apply), 2 => Just(Step::Sync), 1 => Just(Step::Reopen), 6 => scan];
    prop::collection::vec(step, 1..60)
}

/// Random steps on one engine, which is never emptied between the cases: the model goes along.
pub(super) fn behaves_like_a_map(opener: &impl Opener) {
    let model = std::cell::RefCell::new(BTreeMap::<(Space, Vec<u8>), Vec<u8>>::new());
    let mut runner =
        TestRunner::new(Config { cases: 24, max_shrink_iters: 0, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        let mut model = model.borrow_mut();
        let mut engine = Some(opener.open());
        for step in steps {
            let open = engine.get_or_insert_with(|| opener.open());
            match step {
                Step::Apply(changes) => {
                    let mut batch = Batch::default();
                    for (space, key, value) in changes {
                        batch.changes.push((space, key.clone().into(), value.clone().map(Bytes::from)));
                        match value {
                            Some(value) => model.insert((space, key), value),
                            None => model.remove(&(space, key)),
                        };
                    }
                    open.apply(batch).unwrap();
                }
                Step::Sync => open.sync().unwrap(),
                Step::Reopen => engine = None,
                Step::Scan { space, prefix, after, limit } => {
                    let found = open.scan(space, &prefix, after.as_deref(), limit).unwrap();
                    let found: Vec<_> = found.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|((at, key), _)| *at == space && key.starts_with(&prefix))
                        .filter(|((_, key), _)| after.as_ref().is_none_or(|after| key > after))
                        .map(|((_, key), value)| (key.clone(), value.clone()))
                        .take(limit)
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
        let open = engine.unwrap_or_else(|| opener.open());
        for ((space, key), value) in model.iter() {
            prop_assert_eq!(open.get(*space, key).unwrap().unwrap(), value);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
