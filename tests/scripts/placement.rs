//! Commands of the placement scripts.
//!
//! - `ring [partitions=8] [replication=3]`: how the token space is cut, and how often everything is kept
//! - `node ID [zone=z] [weight=1]`: a member joins, or is changed
//! - `remove ID`: a member is gone
//! - `owners`: the owners of every partition, in the order of their places; a node's zone stands beside it if there are
//!   several
//! - `loads`: how many partitions each node owns
//! - `moved`: what the last `node` or `remove` moved
//! - `plan`: what a ring change makes of the owners that stand since the last `plan`: the partitions whose owners move, and how
//!   few would do. The first one founds
//! - `shares`: what each node and each zone should own and owns by the last `plan`
//! - `preference P [n=replication]`: primaries and fallbacks of a partition
//! - `locate KEY`: its partition and owners

use std::collections::BTreeMap;
use std::fmt::Write;

use kv::core::id::{Epoch, NodeId, Partition, StoreId};
use kv::core::key::Key;
use kv::core::ring::assign::{Forced, assign, explain};
use kv::core::ring::{Member, Ring, RingError};

use crate::{Command, Interpreter};

/// A cluster whose members come and go.
pub struct Placement {
    partitions: u32,
    replication: u8,
    members: BTreeMap<u32, Member>,
    /// Before the last change of members.
    previous: BTreeMap<u32, Member>,
    /// What the last `plan` planned, by place for each partition.
    planned: Option<Vec<Vec<StoreId>>>,
    /// Every member there ever was.
    known: BTreeMap<StoreId, Member>,
}

impl Default for Placement {
    fn default() -> Self {
        Placement {
            partitions: 8,
            replication: 3,
            members: BTreeMap::new(),
            previous: BTreeMap::new(),
            planned: None,
            known: BTreeMap::new(),
        }
    }
}

impl Interpreter for Placement {
    fn run(&mut self, command: &Command) -> Result<String, String> {
        match command.name {
            "ring" => {
                self.partitions = command.option("partitions", self.partitions)?;
                self.replication = command.option("replication", self.replication)?;
                Ok(String::new())
            }
            "node" => self.join(command),
            "remove" => {
                self.previous = self.members.clone();
                let id = command.argument(0)?;
                self.members.remove(&id).map(|_| String::new()).ok_or(format!("no node {id}"))
            }
            "owners" => self.owners(),
            "loads" => self.loads(),
            "moved" => self.moved(),
            "plan" => self.plan(),
            "shares" => self.shares(),
            "preference" => self.preference(command),
            "locate" => {
                let key = Key::bare(command.argument::<String>(0)?);
                let ring = self.ring()?;
                let partition = ring.partition_of(&key);
                Ok(format!("{key}: partition {partition}, owners {}", self.places(&ring, partition)))
            }
            _ => Err(command.unknown()),
        }
    }
}

/// Ids as good as random, and the same in every run.
fn store_of(node: NodeId) -> StoreId {
    StoreId(xxhash_rust::xxh3::xxh3_128(format!("6:script:{node}").as_bytes()))
}

impl Placement {
    fn join(&mut self, command: &Command) -> Result<String, String> {
        self.previous = self.members.clone();
        let node = NodeId(command.argument(0)?);
        let member = Member {
            store: store_of(node),
            node,
            address: format!("node{node}:8000"),
            zone: command.option("zone", "z".to_string())?,
            weight: command.option("weight", 1)?,
        };
        self.known.insert(member.store, member.clone());
        self.members.insert(node.0, member);
        Ok(String::new())
    }

    fn ring_of(&self, members: &BTreeMap<u32, Member>) -> Result<Ring, String> {
        let ring = Ring::new(Epoch::default(), self.partitions, self.replication, members.values().cloned().collect());
        ring.map_err(|e: RingError| e.to_string())
    }

    fn ring(&self) -> Result<Ring, String> {
        self.ring_of(&self.members)
    }

    fn places(&self, ring: &Ring, partition: Partition) -> String {
        ring.owners(partition).map(|m| self.name(m)).collect::<Vec<_>>().join(" ")
    }

    fn name(&self, member: &Member) -> String {
        let one_zone = self.members.values().all(|m| m.zone == "z");
        if one_zone { member.node.to_string() } else { format!("{}/{}", member.node, member.zone) }
    }

    fn owners(&self) -> Result<String, String> {
        let ring = self.ring()?;
        let mut table = String::new();
        for partition in (0..self.partitions as u16).map(Partition) {
            let _ = writeln!(table, "{partition}: {}", self.places(&ring, partition));
        }
        Ok(table)
    }

    fn loads(&self) -> Result<String, String> {
        let ring = self.ring()?;
        let mut table = String::new();
        for member in self.members.values() {
            let owned =
                (0..self.partitions as u16).filter(|&p| ring.owns(member.store, Partition(p), self.replication));
            let _ = writeln!(table, "node {}: {}", member.node, owned.count());
        }
        Ok(table)
    }

    fn moved(&self) -> Result<String, String> {
        let (before, after) = (self.ring_of(&self.previous)?, self.ring()?);
        let mut table = String::new();
        let mut moved = 0;
        for partition in (0..self.partitions as u16).map(Partition) {
            let lost: Vec<String> = before
                .owners(partition)
                .filter(|m| !after.owns(m.store, partition, self.replication))
                .map(|m| m.node.to_string())
                .collect();
            let gained: Vec<String> = after
                .owners(partition)
                .filter(|m| !before.owns(m.store, partition, self.replication))
                .map(|m| m.node.to_string())
                .collect();
            if !gained.is_empty() || !lost.is_empty() {
                moved += gained.len();
                let _ = writeln!(table, "{partition}: {} -> {}", lost.join(" "), gained.join(" "));
            }
        }
        let _ = writeln!(table, "{moved} of {} replicas moved", self.partitions * u32::from(self.replication));
        Ok(table)
    }

    fn plan(&mut self) -> Result<String, String> {
        let members: Vec<Member> = self.members.values().cloned().collect();
        let before = self.planned.take();
        let after =
            assign(self.partitions, self.replication, &members, before.as_deref()).map_err(|e| e.to_string())?;
        let explained = explain(self.replication, &members, before.as_deref(), &after).map_err(|e| e.to_string())?;
        let places = |owners: &[StoreId]| {
            let names: Vec<String> = owners.iter().map(|store| self.name(&self.known[store])).collect();
            names.join(" ")
        };
        let mut table = String::new();
        for (p, owners) in after.iter().enumerate() {
            match before.as_ref().map(|before| &before[p]) {
                Some(before) if before == owners => {}
                Some(before) => {
                    let _ = writeln!(table, "{p}: {} -> {}", places(before), places(owners));
                }
                None => {
                    let _ = writeln!(table, "{p}: {}", places(owners));
                }
            }
        }
        let of = after.iter().map(Vec::len).sum::<usize>();
        let fewest = explained.fewest;
        let _ = writeln!(table, "{} of {of} replicas move; the fewest are {}", explained.moved, fewest.replicas);
        if fewest.replicas > 0 {
            let _ = writeln!(table, "{}", fewest.because);
        }
        self.planned = Some(after);
        Ok(table)
    }

    fn shares(&self) -> Result<String, String> {
        let members: Vec<Member> = self.members.values().cloned().collect();
        let planned = self.planned.as_deref().ok_or("nothing is planned")?;
        let explained = explain(self.replication, &members, Some(planned), planned).map_err(|e| e.to_string())?;
        let mut nodes: Vec<_> = explained.nodes.iter().filter(|n| n.node.is_some()).collect();
        nodes.sort_by_key(|n| n.node);
        let mut table = String::new();
        for node in nodes {
            let name = self.name(&self.known[&node.store]);
            let _ = writeln!(table, "node {name}: {} of a fair {:.2}", node.load.after, node.fair);
        }
        for zone in explained.zones.iter().filter(|_| explained.zones.len() > 1) {
            let forced = if zone.forced == Forced::No { String::new() } else { format!(", {}", zone.forced) };
            let _ = writeln!(table, "zone {}: {} of a fair {:.2}{forced}", zone.zone, zone.load.after, zone.fair);
        }
        Ok(table)
    }

    fn preference(&self, command: &Command) -> Result<String, String> {
        let (partition, n) = (Partition(command.argument(0)?), command.option("n", self.replication)?);
        if u32::from(partition.0) >= self.partitions {
            return Err(format!("there are {} partitions", self.partitions));
        }
        let ring = self.ring()?;
        let list = ring.preference(partition, n);
        let names = |stores: &[StoreId]| stores.iter().map(|&s| format!(" {}", ring.node_of(s))).collect::<String>();
        Ok(format!("primaries{}\nfallbacks{}", names(&list.primaries), names(&list.fallbacks)))
    }
}
