//! Commands of the version scripts: one key on several replicas.
//!
//! - `life A a1`: replica A begins, or begins again after its memory may have broken, with this random number
//! - `put A TEXT`, `delete A`: a write that A coordinates. `context=c` gives back what the writer had read,
//!   `blind=sibling` covers nothing, `as=c` keeps the writer's new context, `expires=MS` is when the value dies
//! - `read A as=c`: the values that A holds, and their context
//! - `send A B`: B merges A's whole object
//! - `hold A as=o`, `deliver o B`: the same, late
//! - `show A`: siblings with their dots, what was seen, and which actor is A's own; `times` adds the hybrid clock
//! - `context c`: what it covers
//! - `lose A`: A's last change never reached its disk
//! - `forget A`: A's record is dropped, as after a handoff; `keep=mark` keeps the mark, which no replica may do
//! - `now MS`, `now MS A`: wall clocks, of all or of one
//! - `bucket conflict=lww blind=sibling`, `limits siblings=3`
//!
//! A dot is `life.birth:counter`.

use std::collections::BTreeMap;

use kv::core::bucket::{BlindWrite, Conflict};
use kv::core::limits::Limits;
use kv::core::version::mint::{Doubt, Life, Write};
use kv::core::version::{Context, Merged, Object, Payload, Record, Sibling, Timestamp};

use crate::{Command, Interpreter};

/// What is known of one key, and what the bucket says.
#[derive(Default)]
pub struct Version {
    replicas: BTreeMap<String, Replica>,
    contexts: BTreeMap<String, Context>,
    held: BTreeMap<String, Object>,
    now_ms: u64,
    conflict: Conflict,
    blind: BlindWrite,
    limits: Limits,
}

struct Replica {
    life: Life,
    record: Record,
    /// Before the last change.
    previous: Record,
    /// Where its wall clock goes wrong.
    now_ms: Option<u64>,
}

impl Interpreter for Version {
    fn run(&mut self, command: &Command) -> Result<String, String> {
        match command.name {
            "life" => self.live(command),
            "put" | "delete" => self.write(command),
            "read" => self.read(command),
            "send" => {
                let object = self.replica(&command.argument::<String>(0)?)?.record.object.clone();
                self.deliver(&object, command)
            }
            "hold" => {
                let object = self.replica(&command.argument::<String>(0)?)?.record.object.clone();
                self.held.insert(command.option("as", "held".to_string())?, object);
                Ok(String::new())
            }
            "deliver" => {
                let name: String = command.argument(0)?;
                let object = self.held.get(&name).cloned().ok_or_else(|| format!("nothing is held as {name}"))?;
                self.deliver(&object, command)
            }
            "show" => self.show(command),
            "context" => {
                let name: String = command.argument(0)?;
                let context = self.contexts.get(&name).ok_or_else(|| format!("no context {name}"))?;
                Ok(format!("{name} covers {}", covered(context)))
            }
            "lose" => {
                let replica = self.replica(&command.argument::<String>(0)?)?;
                replica.record = replica.previous.clone();
                Ok(String::new())
            }
            "forget" => {
                let keeps_mark = command.option("keep", String::new())? == "mark";
                let replica = self.replica(&command.argument::<String>(0)?)?;
                let mark = replica.record.mark.filter(|_| keeps_mark);
                replica.record = Record { mark, ..Record::default() };
                Ok(String::new())
            }
            "now" => self.set_clock(command),
            "bucket" => self.configure(command),
            "limits" => {
                self.limits.siblings_max = command.option("siblings", self.limits.siblings_max)?;
                Ok(String::new())
            }
            _ => Err(command.unknown()),
        }
    }
}

impl Version {
    fn replica(&mut self, name: &str) -> Result<&mut Replica, String> {
        self.replicas.get_mut(name).ok_or_else(|| format!("no replica {name}"))
    }

    fn live(&mut self, command: &Command) -> Result<String, String> {
        let (name, number) = (command.argument(0)?, command.argument::<String>(1)?);
        let life = Life::begin(u64::from_str_radix(&number, 16).map_err(|e| format!("life {number}: {e}"))?);
        match self.replicas.get_mut(&name) {
            Some(replica) => replica.life = life,
            None => {
                let replica = Replica { life, record: Record::default(), previous: Record::default(), now_ms: None };
                self.replicas.insert(name, replica);
            }
        }
        Ok(String::new())
    }

    fn write(&mut self, command: &Command) -> Result<String, String> {
        let name: String = command.argument(0)?;
        let payload = match command.name {
            "delete" => Payload::Tombstone,
            _ => Payload::Value(command.argument::<String>(1)?.into()),
        };
        let context = match command.option("context", String::new())?.as_str() {
            "" => None,
            context => Some(self.contexts.get(context).cloned().ok_or_else(|| format!("no context {context}"))?),
        };
        let blind = if command.option("blind", String::new())? == "sibling" { BlindWrite::Sibling } else { self.blind };
        let expires_ms = Some(command.option("expires", 0)?).filter(|&at| at > 0);
        let (conflict, limits, now_ms) = (self.conflict, self.limits.clone(), self.now_ms);

        let replica = self.replica(&name)?;
        let now_ms = replica.now_ms.unwrap_or(now_ms);
        let write = Write { payload, context, blind, conflict, expires_ms, now_ms };
        let minted = replica.record.clone().mint(write, &mut replica.life, &limits).map_err(|f| f.to_string())?;
        replica.previous = std::mem::replace(&mut replica.record, minted.record);
        let kept = command.option("as", String::new())?;
        if !kept.is_empty() {
            self.contexts.insert(kept, minted.context);
        }
        Ok(format!("{} at {}{}", command.name, minted.dot, doubt(minted.doubt)))
    }

    fn read(&mut self, command: &Command) -> Result<String, String> {
        let now_ms = self.now_ms;
        let replica = self.replica(&command.argument::<String>(0)?)?;
        let values: Vec<String> = replica.record.object.values(now_ms).into_iter().map(text).collect();
        let context = replica.record.object.context.clone();
        self.contexts.insert(command.option("as", "last".to_string())?, context);
        Ok(if values.is_empty() { "not found".into() } else { values.join(" and ") })
    }

    fn deliver(&mut self, object: &Object, command: &Command) -> Result<String, String> {
        let conflict = self.conflict;
        let replica = self.replica(&command.argument::<String>(1)?)?;
        let before = replica.record.clone();
        let (merged, doubted) = replica.record.merge(object, conflict, &replica.life);
        if merged == Merged::Changed {
            replica.previous = before;
        }
        let outcome = if merged == Merged::Changed { "changed" } else { "unchanged" };
        Ok(format!("{outcome}{}", doubt(doubted)))
    }

    fn show(&mut self, command: &Command) -> Result<String, String> {
        let (name, times) = (command.argument::<String>(0)?, command.arguments.contains(&"times"));
        let Record { mark, object, .. } = &self.replica(&name)?.record;
        let sibling = |s: &Sibling| {
            let time = if times { format!(" at {}", time(s.time)) } else { String::new() };
            format!("{} ({}{time})", text(s), s.dot)
        };
        let siblings: Vec<String> = object.siblings.iter().map(sibling).collect();
        let siblings = if siblings.is_empty() { "nothing".into() } else { siblings.join(", ") };
        let own = mark.map_or("no actor".into(), |actor| actor.to_string());
        Ok(format!("{name}: {siblings}; seen {}; own {own}", covered(&object.context)))
    }

    fn set_clock(&mut self, command: &Command) -> Result<String, String> {
        let now_ms = command.argument(0)?;
        match command.argument::<String>(1) {
            Ok(name) => self.replica(&name)?.now_ms = Some(now_ms),
            Err(_) => self.now_ms = now_ms,
        }
        Ok(String::new())
    }

    fn configure(&mut self, command: &Command) -> Result<String, String> {
        for (key, value) in &command.options {
            match (*key, *value) {
                ("conflict", "lww") => self.conflict = Conflict::Lww,
                ("conflict", "siblings") => self.conflict = Conflict::Siblings,
                ("blind", "sibling") => self.blind = BlindWrite::Sibling,
                ("blind", "supersede") => self.blind = BlindWrite::Supersede,
                _ => return Err(format!("bucket: bad {key} '{value}'")),
            }
        }
        Ok(String::new())
    }
}

fn text(sibling: &Sibling) -> String {
    let text = match &sibling.payload {
        Payload::Value(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Payload::Tombstone => "tombstone".into(),
    };
    sibling.expires_ms.map_or(text.clone(), |at| format!("{text} until {at}"))
}

/// Milliseconds, and behind a plus the events within one.
fn time(time: Timestamp) -> String {
    format!("{}+{}", time >> 16, time & 0xffff)
}

/// `a1.1:3` is the first three events of `a1.1`; behind an `and`, single ones beyond.
fn covered(context: &Context) -> String {
    let vector: Vec<String> = context.vector.iter().map(|(actor, counter)| format!("{actor}:{counter}")).collect();
    let dots: Vec<String> = context.dots.iter().map(ToString::to_string).collect();
    let vector = if vector.is_empty() { "nothing".into() } else { vector.join(" ") };
    if dots.is_empty() { vector } else { format!("{vector} and singly {}", dots.join(" ")) }
}

fn doubt(doubt: Option<Doubt>) -> String {
    doubt.map_or(String::new(), |Doubt { actor, remembered, claimed }| {
        format!(", in doubt: {actor} remembers {remembered} of {claimed}")
    })
}
