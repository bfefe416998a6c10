//! How a history is printed: one line for each event.

use std::fmt;

use kv::core::id::Partition;
use kv::core::ring::{Motion, Ring, Slice};

use super::{Call, Covering, Event, History, OperationId, Outcome, Quorums, What, WriteId};

/// The same seed must print the same history.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:>11} µs  {}", self.at, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            What::Invoked { operation, client, key, quorums, call } => {
                write!(f, "client {} asks {operation}: {call} of {key}, {quorums}", client.0)
            }
            What::Answered { operation, outcome } => write!(f, "{operation} is answered: {outcome}"),
            What::Minted { store, key, dot, write } => write!(f, "{store:?} mints {dot} for {write} of {key}"),
            What::Durable { store, key, dot } => write!(f, "{store:?} durably covers {dot} of {key}"),
            What::Started { store } => write!(f, "{store:?} starts"),
            What::Published { store, ring } => {
                write!(f, "{store:?} works by ring {}", ring.epoch)?;
                moved(ring).try_for_each(|slice| write!(f, "; {slice}"))
            }
            What::Operated(what) => write!(f, "operator: {what}"),
            What::Faulted { store, fault } => write!(f, "{store:?}: {fault:?}"),
            What::SessionBegan { store, session } => write!(f, "{store:?} is alive in session {session}"),
            What::SessionEnded { store, session } => write!(f, "{store:?} has lost session {session}"),
            What::StrictCounted { store } => write!(f, "{store:?} relies on its lease"),
            What::Replaced { store, by: Some(by) } => write!(f, "{store:?} was replaced by {by:?}"),
            What::Replaced { store, by: None } => write!(f, "{store:?} was not replaced"),
            What::MajorityLost => f.write_str("the coordination service has no majority"),
            What::MajorityBack => f.write_str("the coordination service can have a majority again"),
            What::SetAside { store } => write!(f, "{store:?} is set aside"),
            What::Deleted { node, keys, .. } => write!(f, "node {node} has {keys} deleted keys"),
            What::Settled => f.write_str("settled"),
            What::Holds { store, key, owner, object } => {
                write!(f, "{store:?}, {}, ends with {} of {key}", role(*owner), object.as_deref().unwrap_or("nothing"))
            }
        }
    }
}

/// The partitions of which something is new in a ring, by their numbers, with the stores that have them.
fn moved(ring: &Ring) -> impl Iterator<Item = String> {
    let partitions = (0..ring.partitions()).map(|p| Partition(p as u16));
    partitions.filter(|partition| ring.since(*partition) == ring.epoch).map(|partition| {
        let Slice { owners, motion, draining, .. } = ring.slice(partition);
        let motion = match motion {
            None => String::new(),
            Some(Motion::Pending(others)) => format!(" > {others:?}"),
            Some(Motion::Switched(others)) => format!(" < {others:?}"),
        };
        let draining = if draining.is_empty() { String::new() } else { format!(" - {draining:?}") };
        format!("{partition} {owners:?}{motion}{draining}")
    })
}

fn role(owner: bool) -> &'static str {
    if owner { "owner" } else { "no owner" }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if *self == WriteId::GARBAGE { f.write_str("garbage") } else { write!(f, "w{}", self.0) }
    }
}

impl fmt::Display for Quorums {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Quorums { n, r, w, pr, pw, sloppy } = self;
        write!(f, "n={n} r={r} w={w} pr={pr} pw={pw}{}", if *sloppy { " sloppy" } else { "" })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::Get => f.write_str("get"),
            Call::Put { write, covering } => write!(f, "put {write} {covering}"),
            Call::Delete { write, covering } => write!(f, "delete {write} {covering}"),
        }
    }
}

impl fmt::Display for Covering {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Covering::Answer(operation) => write!(f, "with the context of {operation}"),
            Covering::WhatIsHeld => f.write_str("over what is held"),
            Covering::Nothing => f.write_str("beside what is held"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Outcome::Read(values) if values.is_empty() => f.write_str("read nothing"),
            Outcome::Read(values) => {
                let values: Vec<String> = values.iter().map(WriteId::to_string).collect();
                write!(f, "read {}", values.join(", "))
            }
            Outcome::Written => f.write_str("written"),
            Outcome::Failed(why) => write!(f, "failed: {why}"),
            Outcome::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use kv::core::id::StoreId;
    use kv::core::key::Key;

    use super::super::{ClientId, Fault};
    use super::*;

    #[test]
    fn prints_what_happened() {
        let mut history = History::default();
        let quorums = Quorums { n: 3, r: 2, w: 2, pr: 0, pw: 0, sloppy: true };
        let (client, key) = (ClientId(4), Key::bare("k"));
        let get = history.invoke(5, client, &key, quorums, Call::Get);
        history.answer(60, get, Outcome::Read(vec![WriteId(1), WriteId::GARBAGE]));
        let put = Call::Put { write: WriteId(2), covering: Covering::Answer(get) };
        history.invoke(700, client, &key, quorums, put);
        history.record(800, What::Operated("joins node 4".into()));
        history.record(900, What::MajorityLost);
        history.record(1000, What::Faulted { store: StoreId(1 << 96), fault: Fault::Gone });
        history.record(1100, What::MajorityBack);
        let expected = "          5 µs  client 4 asks #0: get of default/k, n=3 r=2 w=2 pr=0 pw=0 sloppy
         60 µs  #0 is answered: read w1, garbage
        700 µs  client 4 asks #1: put w2 with the context of #0 of default/k, n=3 r=2 w=2 pr=0 pw=0 sloppy
        800 µs  operator: joins node 4
        900 µs  the coordination service has no majority
       1000 µs  s00000001: Gone
       1100 µs  the coordination service can have a majority again
";
        assert_eq!(history.to_string(), expected);
    }
}
