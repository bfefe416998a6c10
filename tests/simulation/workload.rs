//! What clients do: one operation at a time, each recorded as it was asked and as it was answered.
//!
//! Keys have characters. `context` keys see only reads and writes with the context of an earlier answer, so that what covers
//! what is known exactly; `strict` keys the same with strict quorums; `blind` keys everything that is allowed; `lww` keys live in a bucket
//! where the newest write wins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kv::client::{BlindWrite, Client, ClientError, Context, QuorumSize};
use kv::core::key::Key;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::cluster::LWW;
use crate::history::{Call, ClientId, Covering, OperationId, Outcome, Quorums, WriteId};
use crate::recorder::Recorder;

/// Replicas of every key.
const N: u8 = 3;

/// What the workload may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How long clients go on.
    pub duration: Duration,
    /// The longest pause between two operations.
    pub pause_max: Duration,
    /// Keys of each character.
    pub keys: u32,
    /// Which keys there are, each as often as it is named.
    pub characters: &'static [Character],
    /// Of a hundred operations, how many are deletes.
    pub deletes: u32,
    /// A store will forget: nothing is asked that only one holder would keep.
    pub forgetful: bool,
    /// Quorums of all operations, if not those that are usual for each key's character.
    pub quorums: Option<Quorums>,
    /// Each client reaches one node alone, whatever that knows. Else all prefer the same owner of a key, who hides what others lack.
    pub apart: bool,
}

/// What is done with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Character {
    /// Reads, and writes with the context of an earlier answer.
    Context,
    /// The same with strict quorums.
    Strict,
    /// Everything that is allowed.
    Blind,
    /// The newest write wins.
    Lww,
}

impl Character {
    /// What every run has, unless it says otherwise.
    pub const USUAL: &[Character] =
        &[Character::Context, Character::Context, Character::Strict, Character::Blind, Character::Lww];

    fn key(self, number: u32) -> Key {
        match self {
            Character::Context => Key::bare(format!("context{number}")),
            Character::Strict => Key::bare(format!("strict{number}")),
            Character::Blind => Key::bare(format!("blind{number}")),
            Character::Lww => Key::new(LWW, format!("lww{number}")),
        }
    }
}

/// One simulated client.
pub struct Worker {
    id: ClientId,
    client: Client,
    recorder: Arc<Recorder>,
    rng: StdRng,
    habits: Habits,
    /// The last answer with a context, for each key.
    seen: BTreeMap<Key, (OperationId, Context)>,
}

impl Worker {
    pub fn new(id: ClientId, client: Client, recorder: Arc<Recorder>, seed: u64, habits: Habits) -> Worker {
        let rng = StdRng::seed_from_u64(seed ^ ((id.0 as u64 + 1) << 40));
        Worker { id, client, recorder, rng, habits, seen: BTreeMap::new() }
    }

    pub async fn run(mut self) {
        let until = tokio::time::Instant::now() + self.habits.duration;
        while tokio::time::Instant::now() < until {
            self.step().await;
            let pause = self.rng.random_range(0..=self.habits.pause_max.as_micros() as u64);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }

    async fn step(&mut self) {
        let character = *self.habits.characters.choose(&mut self.rng).expect("some");
        let key = character.key(self.rng.random_range(0..self.habits.keys));
        let quorums = self.quorums(character);
        let writes = 100 - self.habits.deletes;
        match self.rng.random_range(0..100) {
            get if get < writes / 2 => self.get(&key, quorums).await,
            put if put < writes => self.put(&key, quorums, character).await,
            _ => self.delete(&key, quorums, character).await,
        }
    }

    fn quorums(&mut self, character: Character) -> Quorums {
        if let Some(quorums) = self.habits.quorums {
            return quorums;
        }
        let quorums = |r, w, pr, pw, sloppy| Quorums { n: N, r, w, pr, pw, sloppy };
        let strict = [quorums(2, 2, 2, 2, false), quorums(2, 2, 2, 2, false), quorums(1, 3, 1, 3, false)];
        let sloppy = [
            quorums(2, 2, 0, 0, true),
            quorums(2, 2, 0, 0, true),
            quorums(1, 1, 0, 0, true),
            quorums(3, 3, 0, 0, true),
            quorums(2, 2, 1, 1, true),
        ];
        let forgetful = [quorums(2, 2, 0, 0, true), quorums(3, 3, 0, 0, true)];
        let choice = match (self.habits.forgetful, character) {
            (_, Character::Strict) => strict.choose(&mut self.rng),
            (true, _) => forgetful.choose(&mut self.rng),
            (false, _) => sloppy.choose(&mut self.rng),
        };
        *choice.expect("some")
    }

    async fn get(&mut self, key: &Key, quorums: Quorums) {
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Get);
        let get = self.client.get(&key.name).bucket(&key.bucket);
        let result = get.r(quorums.r).pr(quorums.pr).sloppy(quorums.sloppy).await;
        let outcome = match result {
            Ok(read) => {
                if let Some(context) = read.context {
                    self.seen.insert(key.clone(), (operation, context));
                }
                Outcome::Read(read.values.iter().map(|value| WriteId::of_value(&value.bytes)).collect())
            }
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.recorder.answer(operation, outcome);
    }

    async fn put(&mut self, key: &Key, quorums: Quorums, character: Character) {
        let write = self.recorder.next_write();
        let (covering, context, blind) = self.covering(key, character);
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Put { write, covering });
        let mut put = self.client.put(&key.name, write.to_value()).bucket(&key.bucket);
        put = put.w(quorums.w).pw(QuorumSize::Count(quorums.pw)).sloppy(quorums.sloppy);
        if let Some(context) = &context {
            put = put.context(context);
        }
        if let Some(blind) = blind {
            put = put.blind(blind);
        }
        let result = put.await.map(|written| written.context);
        self.written(key, operation, result);
    }

    async fn delete(&mut self, key: &Key, quorums: Quorums, character: Character) {
        let seen = self.seen.get(key).cloned();
        if seen.is_none() && character != Character::Blind {
            return;
        }
        let write = self.recorder.next_write();
        if !self.recorder.claim_delete(key, write) {
            return;
        }
        let covering = seen.as_ref().map_or(Covering::WhatIsHeld, |(answer, _)| Covering::Answer(*answer));
        let operation = self.recorder.invoke(self.id, key, quorums, Call::Delete { write, covering });
        let mut delete = self.client.delete(&key.name).bucket(&key.bucket);
        delete = delete.w(quorums.w).pw(QuorumSize::Count(quorums.pw)).sloppy(quorums.sloppy);
        if let Some((_, context)) = &seen {
            delete = delete.context(context);
        }
        let result = delete.await.map(|written| written.context);
        if !matches!(&result, Err(error) if error.outcome_unknown()) {
            self.recorder.release_delete(key);
        }
        self.written(key, operation, result);
    }

    /// What a put covers: the last answer seen where there is one and the key's character does not want otherwise.
    fn covering(&mut self, key: &Key, character: Character) -> (Covering, Option<Context>, Option<BlindWrite>) {
        let blind_now = character == Character::Blind && self.rng.random_bool(0.5);
        match self.seen.get(key).filter(|_| !blind_now) {
            Some((answer, context)) => (Covering::Answer(*answer), Some(context.clone()), None),
            None if character == Character::Blind && self.rng.random_bool(0.5) => {
                (Covering::WhatIsHeld, None, Some(BlindWrite::Supersede))
            }
            None => (Covering::Nothing, None, Some(BlindWrite::Sibling)),
        }
    }

    fn written(&mut self, key: &Key, operation: OperationId, result: Result<Context, ClientError>) {
        let outcome = match result {
            Ok(context) => {
                self.seen.insert(key.clone(), (operation, context));
                Outcome::Written
            }
            Err(error) if error.outcome_unknown() => Outcome::Unknown(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.recorder.answer(operation, outcome);
    }
}
