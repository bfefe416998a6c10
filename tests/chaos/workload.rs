//! What clients do: one operation at a time each, recorded as it was asked and as it was answered.
//!
//! Keys have characters, as in the simulation. Those of one client alone and those that all share see only reads and writes with the
//! context of an earlier answer, so that what covers what is known exactly; strict ones the same with owners' quorums that overlap;
//! blind ones everything. No write asks for fewer than two holders: one store may be wiped.
//!
//! Keys are worked with for a while and then left to rest, so that much lies in the cluster that nobody heals by reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kv::client::{BlindWrite, Client, ClientError, Context, QuorumSize};
use kv::core::key::Key;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::history::{Call, ClientId, Covering, OperationId, Quorums, WriteId};
use crate::recorder::Recorder;

/// Owners of every key.
const N: u8 = 3;
/// The longest pause between two operations of a client.
const PAUSE_MAX: Duration = Duration::from_millis(25);
/// How long keys are worked with.
const GENERATION: Duration = Duration::from_secs(10);
/// Shared keys of each character, in a generation.
const SHARED_KEYS: u32 = 8;
/// Keys of each client's own.
const OWN_KEYS: u32 = 2;

/// What is done with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Character {
    /// One client reads, and writes with the context of an earlier answer.
    Own,
    /// All clients do.
    Shared,
    /// The same with strict quorums.
    Strict,
    /// Everything that is allowed.
    Blind,
}

/// One client.
pub struct Worker {
    id: ClientId,
    client: Client,
    recorder: Arc<Recorder>,
    rng: StdRng,
    /// The last answer with a context, for each key of the generation.
    seen: BTreeMap<Key, (OperationId, Context)>,
}

impl Worker {
    /// A client that draws what it does from a seed.
    pub fn new(id: ClientId, client: Client, recorder: Arc<Recorder>, seed: u64) -> Worker {
        let rng = StdRng::seed_from_u64(seed ^ ((id.0 as u64 + 1) << 40));
        Worker { id, client, recorder, rng, seen: BTreeMap::new() }
    }

    /// Works for a round, with keys of that round.
    pub async fn work(mut self, round: usize, length: Duration) -> Worker {
        let (began, mut generation) = (Instant::now(), 0);
        while began.elapsed() < length {
            let now = began.elapsed().as_micros() / GENERATION.as_micros();
            if now != generation {
                (generation, self.seen) = (now, BTreeMap::new());
            }
            self.step(&format!("{round}-{generation}")).await;
            sleep(PAUSE_MAX.mul_f64(self.rng.random())).await;
        }
        self.seen.clear();
        self
    }

    async fn step(&mut self, generation: &str) {
        let characters = [Character::Own, Character::Shared, Character::Strict, Character::Strict, Character::Blind];
        let character = *characters.choose(&mut self.rng).expect("some");
        let number = self.rng.random_range(0..SHARED_KEYS);
        let key = Key::bare(match character {
            Character::Own => format!("own-{generation}-{}-{}", self.id.0, number % OWN_KEYS),
            Character::Shared => format!("shared-{generation}-{number}"),
            Character::Strict => format!("strict-{generation}-{number}"),
            Character::Blind => format!("blind-{generation}-{number}"),
        });
        let quorums = self.quorums(character);
        match self.rng.random_range(0..100) {
            0..45 => self.get(&key, quorums).await,
            45..90 => self.put(&key, quorums, character).await,
            _ => self.delete(&key, quorums, character).await,
        }
    }

    fn quorums(&mut self, character: Character) -> Quorums {
        let quorums = |r, w, pr, pw, sloppy| Quorums { n: N, r, w, pr, pw, sloppy };
        let strict = [quorums(2, 2, 2, 2, false), quorums(2, 2, 2, 2, false), quorums(1, 3, 1, 3, false)];
        let sloppy = [
            quorums(2, 2, 0, 0, true),
            quorums(2, 2, 0, 0, true),
            quorums(1, 2, 0, 0, true),
            quorums(3, 3, 0, 0, true),
            quorums(2, 2, 1, 1, true),
        ];
        let choice =
            if character == Character::Strict { strict.choose(&mut self.rng) } else { sloppy.choose(&mut self.rng) };
        *choice.expect("some")
    }

    async fn get(&mut self, key: &Key, quorums: Quorums) {
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Get);
        match self.client.get(&key.name).r(quorums.r).pr(quorums.pr).sloppy(quorums.sloppy).await {
            Ok(read) => {
                let values = read.values.iter().map(|value| WriteId::of_value(&value.bytes)).collect();
                self.recorder.read(key, operation, values);
                if let Some(context) = read.context {
                    self.seen.insert(key.clone(), (operation, context));
                }
            }
            Err(error) => self.recorder.failed(key, operation, quorums.sloppy, &error),
        }
    }

    async fn put(&mut self, key: &Key, quorums: Quorums, character: Character) {
        let write = self.recorder.next_write();
        let (covering, context, blind) = self.covering(key, character);
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Put { write, covering });
        let mut put = self.client.put(&key.name, write.to_value()).context(&context);
        put = put.w(quorums.w).pw(QuorumSize::Count(quorums.pw)).sloppy(quorums.sloppy);
        if let Some(blind) = blind {
            put = put.blind(blind);
        }
        let result = put.await.map(|written| written.context);
        self.written(key, operation, quorums, result);
    }

    async fn delete(&mut self, key: &Key, quorums: Quorums, character: Character) {
        let (covering, context) = match self.seen.get(key) {
            Some((answer, context)) => (Covering::Answer(*answer), Some(context.clone())),
            None if character == Character::Blind => (Covering::WhatIsHeld, None),
            None => return,
        };
        let write = self.recorder.next_write();
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Delete { write, covering });
        let delete = self.client.delete(&key.name).context(&context);
        let delete = delete.w(quorums.w).pw(QuorumSize::Count(quorums.pw)).sloppy(quorums.sloppy);
        let result = delete.await.map(|written| written.context);
        self.written(key, operation, quorums, result);
    }

    /// What a put covers: the last answer seen where there is one and the key's character does not want otherwise.
    fn covering(&mut self, key: &Key, character: Character) -> (Covering, Option<Context>, Option<BlindWrite>) {
        let blind_now = character == Character::Blind && self.rng.random_bool(0.5);
        match self.seen.get(key).filter(|_| !blind_now) {
            Some((answer, context)) => (Covering::Answer(*answer), Some(context.clone()), None),
            None if blind_now => (Covering::WhatIsHeld, None, Some(BlindWrite::Supersede)),
            None => (Covering::Nothing, None, Some(BlindWrite::Sibling)),
        }
    }

    fn written(&mut self, key: &Key, operation: OperationId, quorums: Quorums, result: Result<Context, ClientError>) {
        match result {
            Ok(context) => {
                self.recorder.written(key, operation, quorums.sloppy);
                self.seen.insert(key.clone(), (operation, context));
            }
            Err(error) => self.recorder.failed(key, operation, quorums.sloppy, &error),
        }
    }
}
