//! Commands of the quorum scripts: one write or read at a time, as its coordinator sees it.
//!
//! Stores are capital letters. Three owners and two fallbacks, all up, unless told: `owners=A,B,C`, `fallbacks=D,E`, `down=C`.
//! While a partition changes hands it has other owners beside those who are read from: `others=A,B,D`.
//! The bucket is the default one; `n=`, `pw=`, `pr=`, `sloppy=` and the word `strict` are the request's own.
//!
//! A small letter is the store without a lease: `stored b` is B's answer, which counts in no pw.
//!
//! - `write w=2 [coordinator=A]`: a write begins. Then what happens to it:
//!   - `minted`: the coordinator has a dot
//!   - `stored B …`: these have it on stable storage
//!   - `failed B …`: these do not, and will not
//!   - `deadline`: time is up
//!   - `ring owners=A,B,C others=A,B,D`: a newer ring has these owners; the write goes on by that one
//! - `object NAME seen=a:2,b:1 live=a:2`: an object for the reads that follow; the value of a live write is its dot's name
//! - `read r=2`: a read begins; owners are asked in their order. Then what happens to it:
//!   - `fetched A NAME`: what A holds; also `nothing`, or `garbage`
//!   - `slow`: somebody takes longer than usual
//!   - `failed A …`, `deadline`: as above
//! - `down D`, `up D`: what the coordinator learns of a node meanwhile
//!
//! The answers are the actions that the coordinator takes, in their order, and `done` when nothing is waited for.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv::core::bucket::{Bucket, Conflict, QuorumSize};
use kv::core::id::{Epoch, Partition, StoreId};
use kv::core::quorum::Shortfall;
use kv::core::quorum::read::{Candidates, ReadAction, ReadMachine};
use kv::core::quorum::size::{QuorumSizes, read_sizes, write_sizes};
use kv::core::quorum::write::{WriteAction, WriteMachine};
use kv::core::request::Options;
use kv::core::ring::Route;
use kv::core::version::{Actor, Context, Dot, Object, Payload, Sibling, VersionVector};

use crate::{Command, Interpreter};

/// At most one operation in flight, and the objects that reads find.
#[derive(Default)]
pub struct Quorum {
    flight: Option<Flight>,
    down: BTreeSet<StoreId>,
    objects: BTreeMap<String, Bytes>,
}

enum Flight {
    Write(WriteMachine),
    Read(ReadMachine),
}

impl Interpreter for Quorum {
    fn run(&mut self, command: &Command) -> Result<String, String> {
        match command.name {
            "object" => {
                self.objects.insert(command.argument(0)?, object(command)?.encode());
                Ok(String::new())
            }
            "write" => self.write(command),
            "read" => self.read(command),
            "ring" => {
                let route = Cluster::of(command)?.route();
                let Some(Flight::Write(machine)) = &mut self.flight else { return Err("no write is in flight".into()) };
                let actions = machine.rebase(route.into(), &|store| !self.down.contains(&store));
                Ok(write_actions(machine, StoreId(0), &actions))
            }
            "down" | "up" => {
                let store = store(command.argument(0)?)?;
                if command.name == "up" {
                    self.down.remove(&store)
                } else {
                    self.down.insert(store)
                };
                Ok(String::new())
            }
            _ => match &mut self.flight {
                Some(Flight::Write(machine)) => write_event(machine, &self.down, command),
                Some(Flight::Read(machine)) => read_event(machine, &self.objects, command),
                None => Err("no operation is in flight".into()),
            },
        }
    }
}

impl Quorum {
    fn write(&mut self, command: &Command) -> Result<String, String> {
        let cluster = self.cluster(command)?;
        let sizes = cluster.sizes(command, write_sizes)?;
        let coordinator = store(command.option("coordinator", 'A')?)?;
        let live = |store| !self.down.contains(&store);
        let (machine, actions) = WriteMachine::start(sizes, cluster.route().into(), coordinator, &live)
            .map_err(|short| format!("refused, {}", shortfall('w', &short)))?;
        let answer = write_actions(&machine, coordinator, &actions);
        self.flight = Some(Flight::Write(machine));
        Ok(answer)
    }

    fn read(&mut self, command: &Command) -> Result<String, String> {
        let cluster = self.cluster(command)?;
        let sizes = cluster.sizes(command, read_sizes)?;
        let owners = cluster.owners.into_iter().take(sizes.n as usize);
        let (down, live) = owners.partition(|store| self.down.contains(store));
        let fallbacks = cluster.fallbacks.into_iter().filter(|store| !self.down.contains(store)).collect();
        let (machine, actions) = ReadMachine::start(sizes, Conflict::Siblings, Candidates { live, down, fallbacks })
            .map_err(|short| format!("refused, {}", shortfall('r', &short)))?;
        let answer = read_actions(&machine, &actions);
        self.flight = Some(Flight::Read(machine));
        Ok(answer)
    }

    fn cluster(&mut self, command: &Command) -> Result<Cluster, String> {
        self.flight = None;
        self.down = stores(&command.option("down", String::new())?)?.into_iter().collect();
        Cluster::of(command)
    }
}

/// A preference list.
struct Cluster {
    owners: Vec<StoreId>,
    others: Vec<StoreId>,
    fallbacks: Vec<StoreId>,
}

type SizesOf = fn(&Options, &Bucket, u8) -> Result<QuorumSizes, kv::core::request::Failure>;

impl Cluster {
    /// Of the stores D and E those that are not owners are the fallbacks, unless told.
    fn of(command: &Command) -> Result<Cluster, String> {
        let owners = stores(&command.option("owners", "A,B,C".to_string())?)?;
        let others = stores(&command.option("others", String::new())?)?;
        let mut fallbacks = stores(&command.option("fallbacks", "D,E".to_string())?)?;
        fallbacks.retain(|store| !owners.contains(store) && !others.contains(store));
        Ok(Cluster { owners, others, fallbacks })
    }

    fn route(self) -> Route {
        let (partition, since) = (Partition(0), Epoch::default());
        Route { partition, since, owners: self.owners, others: self.others, strangers: self.fallbacks }
    }

    fn sizes(&self, command: &Command, of: SizesOf) -> Result<QuorumSizes, String> {
        let given = |key: &str| command.options.iter().any(|(k, _)| *k == key);
        let size = |key| -> Result<Option<QuorumSize>, String> {
            given(key).then(|| command.option(key, QuorumSize::All)).transpose()
        };
        let options = Options {
            n: given("n").then(|| command.option("n", 0)).transpose()?,
            r: size("r")?,
            w: size("w")?,
            pr: size("pr")?,
            pw: size("pw")?,
            sloppy: given("sloppy").then(|| command.option("sloppy", true)).transpose()?,
            strict: command.arguments.contains(&"strict"),
            timeout_ms: None,
        };
        of(&options, &Bucket::default(), self.owners.len() as u8).map_err(|failure| failure.to_string())
    }
}

fn write_event(machine: &mut WriteMachine, down: &BTreeSet<StoreId>, command: &Command) -> Result<String, String> {
    let live = |store| !down.contains(&store);
    let actions = match command.name {
        "minted" => machine.on_minted(),
        "deadline" => machine.on_deadline(),
        "stored" => each(command, |store, leased| machine.on_stored(store, leased))?,
        "failed" => each(command, |store, _| machine.on_failed(store, &live))?,
        _ => return Err(command.unknown()),
    };
    Ok(write_actions(machine, StoreId(0), &actions))
}

fn write_actions(machine: &WriteMachine, coordinator: StoreId, actions: &[WriteAction]) -> String {
    let stands_in = |hint: &Option<StoreId>| hint.map_or(String::new(), |owner| format!(" for {}", name(owner)));
    let mut told: String = actions
        .iter()
        .map(|action| match action {
            WriteAction::Mint { hint } => format!("mint at {}{}\n", name(coordinator), stands_in(hint)),
            WriteAction::Send { to, hint } => format!("send to {}{}\n", name(*to), stands_in(hint)),
            WriteAction::Answer(Ok(())) => format!("answer: held by {}\n", list(machine.holders())),
            WriteAction::Answer(Err(short)) => format!("answer: {}\n", shortfall('w', short)),
        })
        .collect();
    if machine.is_done() {
        told += &format!("done, held by {}\n", list(machine.holders()));
    }
    told
}

fn read_event(
    machine: &mut ReadMachine,
    objects: &BTreeMap<String, Bytes>,
    command: &Command,
) -> Result<String, String> {
    let actions = match command.name {
        "slow" => machine.on_slow(),
        "deadline" => machine.on_deadline(),
        "failed" => each(command, |store, _| machine.on_failed(store))?,
        "fetched" => {
            let found = match command.argument::<String>(1)?.as_str() {
                "nothing" => None,
                "garbage" => Some(Bytes::from_static(b"garbage")),
                object => Some(objects.get(object).ok_or_else(|| format!("no object {object}"))?.clone()),
            };
            let (from, leased) = answerer(command.argument(0)?)?;
            machine.on_fetched(from, found, leased).map_err(|malformed| malformed.to_string())?
        }
        _ => return Err(command.unknown()),
    };
    Ok(read_actions(machine, &actions))
}

fn read_actions(machine: &ReadMachine, actions: &[ReadAction]) -> String {
    let mut told: String = actions
        .iter()
        .map(|action| match action {
            ReadAction::Fetch { from } => format!("ask {}\n", name(*from)),
            ReadAction::Answer(Ok(())) => {
                format!("answer: {}, from {}\n", found(machine.merged()), list(machine.answerers()))
            }
            ReadAction::Answer(Err(short)) => format!("answer: {}\n", shortfall('r', short)),
            ReadAction::Repair { to } => format!("repair {} with {}\n", name(*to), found(machine.merged())),
        })
        .collect();
    if machine.is_done() {
        told += "done\n";
    }
    told
}

/// What a read merged: its values.
fn found(object: Option<&Object>) -> String {
    let values = object.map_or(vec![], |object| object.values(0));
    let text = |sibling: &&Sibling| match &sibling.payload {
        Payload::Value(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Payload::Tombstone => "tombstone".into(),
    };
    if values.is_empty() { "not found".into() } else { values.iter().map(text).collect::<Vec<_>>().join(" and ") }
}

fn shortfall(letter: char, short: &Shortfall) -> String {
    let Shortfall { needed, got, primaries_needed, primaries_got, missing, unleased, applied, timed_out } = short;
    let cause = if *timed_out { "timed out" } else { "not met" };
    let primaries = if *primaries_needed > 0 {
        format!(", {primaries_got} of p{letter}={primaries_needed}")
    } else {
        String::new()
    };
    let outcome = match (letter, applied) {
        ('w', true) => "; outcome unknown",
        ('w', false) => "; nothing was written",
        _ => "",
    };
    let leases = if unleased.is_empty() {
        String::new()
    } else {
        format!(", without a lease {}", list(unleased.iter().copied()))
    };
    let missing = list(missing.iter().copied());
    format!("{cause}: {got} of {letter}={needed}{primaries}{leases}, missing {missing}{outcome}")
}

fn object(command: &Command) -> Result<Object, String> {
    let dots = |key| -> Result<Vec<Dot>, String> {
        command.option(key, String::new())?.split(',').filter(|word| !word.is_empty()).map(dot).collect()
    };
    let vector: VersionVector = dots("seen")?.into_iter().map(|dot| (dot.actor, dot.counter)).collect();
    let sibling = |dot: Dot| Sibling {
        dot,
        time: dot.counter,
        payload: Payload::Value(format!("{:x}:{}", dot.actor.incarnation, dot.counter).into()),
        expires_ms: None,
    };
    let mut siblings: Vec<Sibling> = dots("live")?.into_iter().map(sibling).collect();
    siblings.sort_by_key(|sibling| sibling.dot);
    let time = vector.iter().map(|(_, counter)| counter).max().unwrap_or(0);
    Ok(Object { context: Context { vector, dots: vec![], time }, siblings })
}

/// `a:2`: the second event of the actor a, a hexadecimal digit.
fn dot(text: &str) -> Result<Dot, String> {
    let (actor, counter) = text.split_once(':').ok_or_else(|| format!("'{text}' is no dot"))?;
    let incarnation = u64::from_str_radix(actor, 16).map_err(|e| format!("actor {actor}: {e}"))?;
    let counter = counter.parse().map_err(|e| format!("counter {counter}: {e}"))?;
    Ok(Dot { actor: Actor { incarnation, birth: 1 }, counter })
}

fn each<A>(command: &Command, mut event: impl FnMut(StoreId, bool) -> Vec<A>) -> Result<Vec<A>, String> {
    let answerers: Vec<(StoreId, bool)> =
        (0..command.arguments.len()).map(|i| command.argument(i).and_then(answerer)).collect::<Result<_, _>>()?;
    Ok(answerers.into_iter().flat_map(|(store, leased)| event(store, leased)).collect())
}

/// A store, and whether it has a lease.
fn answerer(letter: char) -> Result<(StoreId, bool), String> {
    Ok((store(letter.to_ascii_uppercase())?, letter.is_ascii_uppercase()))
}

fn store(letter: char) -> Result<StoreId, String> {
    if letter.is_ascii_uppercase() { Ok(StoreId(letter as u128)) } else { Err(format!("'{letter}' is no store")) }
}

fn stores(letters: &str) -> Result<Vec<StoreId>, String> {
    letters.chars().filter(|&c| c != ',').map(store).collect()
}

fn name(store: StoreId) -> char {
    char::from(store.0 as u8)
}

fn list(stores: impl Iterator<Item = StoreId>) -> String {
    let names: Vec<String> = stores.map(|store| name(store).to_string()).collect();
    if names.is_empty() { "nobody".into() } else { names.join(" ") }
}
