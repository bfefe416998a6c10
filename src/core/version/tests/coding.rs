//! Stored and sent forms: what comes back, and what is made of damage.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::world::{World, steps};
use crate::core::bucket::{BlindWrite, Conflict};
use crate::core::key::Key;
use crate::core::limits::Limits;
use crate::core::version::mint::{Life, Write};
use crate::core::version::{Actor, BadContext, Context, Dot, Object, Payload, Record};

/// Bytes that begin like the real thing half of the time.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let body = || proptest::collection::vec(any::<u8>(), 0..120);
    prop_oneof![body(), body().prop_map(|body| [vec![1], body].concat())]
}

fn write(context: Option<Context>) -> Write {
    Write {
        payload: Payload::Tombstone,
        context,
        blind: BlindWrite::Supersede,
        conflict: Conflict::Siblings,
        expires_ms: None,
        now_ms: 1,
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(200) })]

    #[test]
    fn all_forms_come_back_as_they_were(steps in steps(), key: Vec<u8>, other: Vec<u8>) {
        let world = World::run(Conflict::Siblings, &steps);
        let (key, other) = (Key::bare(key), Key::bare(other));
        for object in world.objects() {
            prop_assert_eq!(Object::decode(&object.encode()), Ok(object));
        }
        for record in world.records() {
            let (stored, sent) = record.encode();
            prop_assert_eq!(&sent, &record.object.encode());
            prop_assert_eq!(Record::split(&stored), Ok((record.mark, sent)));
            prop_assert_eq!(Record::decode(&stored), Ok(record));
        }
        for context in world.contexts() {
            let opaque = context.encode(&key);
            if key != other {
                prop_assert_eq!(Context::decode(&opaque, &other), Err(BadContext::Checksum));
            }
            prop_assert_eq!(Context::decode(&opaque, &key), Ok(context));
        }
    }

    #[test]
    fn nothing_truncated_is_accepted(steps in steps()) {
        let world = World::run(Conflict::Siblings, &steps);
        let key = Key::bare("key");
        for record in world.records() {
            let (stored, _) = record.encode();
            for end in 0..stored.len() {
                prop_assert!(Record::decode(&stored.slice(..end)).is_err());
            }
        }
        for opaque in world.contexts().iter().map(|context| context.encode(&key)) {
            for end in 0..opaque.len() {
                prop_assert!(Context::decode(&opaque[..end], &key).is_err());
            }
        }
    }

    /// A context carries a checksum: damage is always found. An object does not; what passes for one is still harmless
    /// to work with.
    #[test]
    fn damage_never_panics(steps in steps(), position: usize, damage in 1u8..) {
        let world = World::run(Conflict::Siblings, &steps);
        let key = Key::bare("key");
        let damaged = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let position = position % bytes.len();
            bytes[position] ^= damage;
            bytes
        };
        for context in world.contexts() {
            prop_assert!(Context::decode(&damaged(&context.encode(&key)), &key).is_err());
        }
        for object in world.objects() {
            let Ok(changed) = Object::decode(&damaged(&object.encode()).into()) else { continue };
            prop_assert_eq!(Object::decode(&changed.encode()), Ok(changed.clone()));
            for mut record in world.records() {
                record.merge(&changed, Conflict::Siblings, &Life::begin(1));
                let minted = record.mint(write(None), &mut Life::begin(1), &Limits::default());
                prop_assert!(minted.is_ok());
            }
        }
    }

    #[test]
    fn noise_never_panics(noise in noise()) {
        let bytes = Bytes::from(noise);
        prop_assert!(Context::decode(&bytes, &Key::bare("key")).is_err());
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(Record::decode(&record.encode().0), Ok(record));
        }
        if let Ok(object) = Object::decode(&bytes) {
            prop_assert_eq!(Object::decode(&object.encode()), Ok(object));
        }
    }
}

#[test]
fn bad_contexts_say_why() {
    let key = Key::bare("key");
    let good = Context::default().encode(&key);
    assert_eq!(Context::decode(b"", &key), Err(BadContext::Truncated));
    assert_eq!(Context::decode(b"\x02 of a later version", &key), Err(BadContext::Format(2)));
    assert_eq!(Context::decode(&good[..good.len() - 1], &key), Err(BadContext::Checksum));
    assert_eq!(Context::decode(&good, &Key::new("bucket", "key")), Err(BadContext::Checksum));
    let dot = Dot { actor: Actor { incarnation: 1, birth: 1 }, counter: 3 };
    let unordered = Context { dots: vec![dot, dot], ..Context::default() };
    assert_eq!(Context::decode(&unordered.encode(&key), &key), Err(BadContext::Malformed));
}

/// The checksum keeps accidents out, not forgers: whoever knows the format can claim any number of events, also of an
/// actor that is yet to be born. No claim may lead to a dot that is counted as seen already.
#[test]
fn a_forged_claim_of_all_events_harms_nobody() {
    let (own, stranger) = (Actor { incarnation: 7, birth: 1 }, Actor { incarnation: 8, birth: 1 });
    let everything = [own, stranger].map(|actor| (actor, u64::MAX)).into_iter().collect();
    let forged = Context { vector: everything, ..Context::default() };
    let beyond = Context { dots: vec![Dot { actor: stranger, counter: 5 }], ..Context::default() };
    let mut life = Life::begin(7);
    let minted = Record::default().mint(write(Some(forged)), &mut life, &Limits::default()).expect("no limit");
    assert_eq!(minted.dot, Dot { actor: Actor { incarnation: 7, birth: 2 }, counter: 1 });
    let minted = minted.record.mint(write(Some(beyond)), &mut life, &Limits::default()).expect("no limit");
    assert!(minted.record.object.holds(minted.dot));
}

/// An object whose sibling its own context has not seen would be kept by nobody who merges it.
#[test]
fn objects_that_contradict_themselves_are_refused() {
    let minted = Record::default().mint(write(None), &mut Life::begin(1), &Limits::default()).expect("no limit");
    let object = Object { context: Context::default(), ..minted.record.object };
    let error = Object::decode(&object.encode()).unwrap_err().to_string();
    assert_eq!(error, "sibling 1.1:1 is not in the object's own context");
    let empty = Object::decode(&Bytes::new()).unwrap_err().to_string();
    assert_eq!(empty, "empty object");
}
