//! The assignment as a flow.
//!
//! A replica flows from its partition to one of the partition's *slots*, one for each zone, from there to a node of
//! that zone, and from the node into the pool where all replicas are counted:
//!
//! ```text
//! partition ──[least..most of zone]──▶ slot ──[0..1]──▶ node ──[share, rounded down..up]──▶ pool
//! ```
//!
//! What an arc may carry stands in brackets. An assignment that keeps the zone rule and the shares is a flow in which
//! every partition gives all its replicas, the pool receives them all, and whatever enters a slot or a node leaves it.
//! An arc from a slot to a node costs nothing if the node owned the partition before and 1 if not, so that the cost of
//! a flow is the number of replicas that move.
//!
//! While replicas move the books do not balance: vertices have an *excess* of replicas that must go on from there, or lack
//! some. A network starts so (`start`), and balancing it is the work of `settle`. That sees vertices and *residual* arcs
//! only: along an arc that may carry more, against one that may carry less.
//! Those between slots and nodes are as many as partitions times nodes; they are worked out when asked for.

mod start;

use xxhash_rust::xxh3::xxh3_64;

/// A place where the flow parts or joins, as a number: the pool, then nodes, partitions and slots.
pub(super) type Vertex = usize;

const POOL: Vertex = 0;

/// A vertex by what it stands for.
#[derive(Clone, Copy)]
enum Is {
    Pool,
    Node(usize),
    Partition(usize),
    /// Of a partition, in a zone.
    Slot(usize, usize),
}

/// What a vertex's nth residual arc is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arc {
    /// It may carry one more replica to this vertex, at this cost.
    Open(Vertex, i32),
    /// It may not.
    Closed,
    /// There is no nth arc, nor a later one.
    End,
}

struct Node {
    /// Its index among the members.
    member: u16,
    zone: usize,
    /// It owns no less …
    least: usize,
    /// … and no more.
    most: usize,
    /// How many replicas it passes to the pool.
    passes: usize,
    /// The partitions it owns.
    held: Vec<u16>,
}

/// A zone, or all zones together whose bounds are kept by whatever keeps those of their nodes.
struct Zone {
    /// Its nodes are those from here …
    first: usize,
    /// … this many.
    size: usize,
    /// It owns no less of a partition …
    least: usize,
    /// … and no more.
    most: usize,
}

struct Partition {
    /// The nodes that own it.
    owners: Vec<u16>,
    /// Those that did.
    before: Vec<u16>,
}

/// Replicas on their way. See the module.
pub(super) struct Network {
    zones: Vec<Zone>,
    /// Zone by zone.
    nodes: Vec<Node>,
    partitions: Vec<Partition>,
    /// How many replicas each slot is given, partition by partition.
    given: Vec<u8>,
    /// For each vertex how many replicas it has too many, or too few if negative. Their sum is 0.
    excess: Vec<i32>,
}

impl Network {
    /// For each partition the owners, by the indices that [`Network::new`] was given.
    pub fn into_owners(self) -> Vec<Vec<u16>> {
        let member = |n: u16| self.nodes[usize::from(n)].member;
        self.partitions.into_iter().map(|p| p.owners.into_iter().map(member).collect()).collect()
    }

    /// How many replicas are where they were not before.
    pub fn moved(&self) -> u64 {
        let moved = |p: &Partition| p.owners.iter().filter(|n| !p.before.contains(n)).count() as u64;
        self.partitions.iter().map(moved).sum()
    }

    /// How many vertices there are.
    pub fn vertices(&self) -> usize {
        self.excess.len()
    }

    /// How many replicas must go on from here; how many are lacking, if negative.
    pub fn excess(&self, vertex: Vertex) -> i32 {
        self.excess[vertex]
    }

    /// The vertices from which replicas must go on.
    pub fn sources(&self) -> Vec<Vertex> {
        (0..self.vertices()).filter(|&v| self.excess(v) > 0).collect()
    }

    fn vertex(&self, is: Is) -> Vertex {
        let partitions = 1 + self.nodes.len();
        let slots = partitions + self.partitions.len();
        match is {
            Is::Pool => POOL,
            Is::Node(n) => 1 + n,
            Is::Partition(p) => partitions + p,
            Is::Slot(p, z) => slots + p * self.zones.len() + z,
        }
    }

    fn is(&self, vertex: Vertex) -> Is {
        let partitions = 1 + self.nodes.len();
        let slots = partitions + self.partitions.len();
        match vertex {
            POOL => Is::Pool,
            n if n < partitions => Is::Node(n - 1),
            p if p < slots => Is::Partition(p - partitions),
            s => Is::Slot((s - slots) / self.zones.len(), (s - slots) % self.zones.len()),
        }
    }

    /// The residual arcs of a vertex, as a function of their number. The number of an arc stands until
    /// [`Network::carry`] changes what its own vertex holds.
    pub fn arcs(&self, from: Vertex) -> impl Fn(usize) -> Arc {
        let is = self.is(from);
        move |nth| match is {
            Is::Pool => self.pool_arc(nth),
            Is::Node(n) => self.node_arc(n, nth),
            Is::Partition(p) => self.partition_arc(p, nth),
            Is::Slot(p, z) => self.slot_arc(p, z, nth),
        }
    }

    /// Back to the nodes.
    fn pool_arc(&self, nth: usize) -> Arc {
        match self.nodes.get(nth) {
            Some(node) if node.passes > node.least => Arc::Open(self.vertex(Is::Node(nth)), 0),
            Some(_) => Arc::Closed,
            None => Arc::End,
        }
    }

    /// On to the pool, then back to the slots of what it holds.
    fn node_arc(&self, n: usize, nth: usize) -> Arc {
        let node = &self.nodes[n];
        match nth.checked_sub(1) {
            None if node.passes < node.most => Arc::Open(POOL, 0),
            None => Arc::Closed,
            Some(i) => match node.held.get(i) {
                Some(&p) => {
                    let p = usize::from(p);
                    Arc::Open(self.vertex(Is::Slot(p, node.zone)), -self.partitions[p].cost(n))
                }
                None => Arc::End,
            },
        }
    }

    /// On to the slots.
    fn partition_arc(&self, p: usize, z: usize) -> Arc {
        match self.zones.get(z) {
            Some(zone) if self.given(p, z) < zone.most => Arc::Open(self.vertex(Is::Slot(p, z)), 0),
            Some(_) => Arc::Closed,
            None => Arc::End,
        }
    }

    /// Back to the partition, then on to the nodes of the zone.
    fn slot_arc(&self, p: usize, z: usize, nth: usize) -> Arc {
        let (zone, partition) = (&self.zones[z], &self.partitions[p]);
        match nth.checked_sub(1) {
            None if self.given(p, z) > zone.least => Arc::Open(self.vertex(Is::Partition(p)), 0),
            None => Arc::Closed,
            Some(i) if i < zone.size => {
                let n = zone.nth_node_for(p, i);
                if partition.owners.contains(&(n as u16)) {
                    Arc::Closed
                } else {
                    Arc::Open(self.vertex(Is::Node(n)), partition.cost(n))
                }
            }
            Some(_) => Arc::End,
        }
    }

    fn given(&self, p: usize, z: usize) -> usize {
        usize::from(self.given[p * self.zones.len() + z])
    }

    /// Lets one more replica go on along the nth arc of `from`, which must be open and lead `to` there.
    pub fn carry(&mut self, from: Vertex, nth: usize, to: Vertex) {
        let zones = self.zones.len();
        match (self.is(from), nth.checked_sub(1)) {
            (Is::Pool, _) => self.nodes[nth].passes -= 1,
            (Is::Node(n), None) => self.nodes[n].passes += 1,
            (Is::Node(n), Some(i)) => {
                let p = self.nodes[n].held.swap_remove(i);
                self.partitions[usize::from(p)].owners.retain(|owner| usize::from(*owner) != n);
            }
            (Is::Partition(p), _) => self.given[p * zones + nth] += 1,
            (Is::Slot(p, z), None) => self.given[p * zones + z] -= 1,
            (Is::Slot(p, z), Some(i)) => {
                let n = self.zones[z].nth_node_for(p, i);
                self.partitions[p].owners.push(n as u16);
                self.nodes[n].held.push(p as u16);
            }
        }
        self.excess[from] -= 1;
        self.excess[to] += 1;
    }
}

impl Partition {
    /// Of owning this partition.
    fn cost(&self, n: usize) -> i32 {
        i32::from(!self.before.contains(&(n as u16)))
    }
}

impl Zone {
    /// Each partition goes through the nodes from one of its own on, so that those who need replicas do not all take
    /// them of the same partitions.
    fn nth_node_for(&self, p: usize, nth: usize) -> usize {
        let from = (scrambled(p as u16, self.first as u16) * self.size as u64) >> 32;
        self.first + (from as usize + nth) % self.size
    }
}

/// A number below 2^32 that looks like chance.
fn scrambled(a: u16, b: u16) -> u64 {
    xxh3_64(&[a.to_be_bytes(), b.to_be_bytes()].concat()) >> 32
}
