//! How a network starts: nothing has moved.
//!
//! Every replica is where it was, as far as its owner may still own something, and every other arc carries what is as near
//! to that as its bounds allow. What the bounds do not allow stands in the books as an excess or a lack; if there is neither,
//! what was before fits as it is.

use super::super::super::share::{Fair, FairZone, UNIT};
use super::{Is, Network, Node, Partition, Zone, scrambled};

impl Network {
    /// A network in which nothing has moved. `before` names for each partition those who owned it, each once, by the
    /// indices that `fair` uses; who may own nothing is passed over.
    pub fn new(fair: &Fair, before: Vec<Vec<u16>>) -> Network {
        let (loose, bound): (Vec<&FairZone>, Vec<&FairZone>) = fair.zones.iter().partition(|zone| is_loose(zone));
        let mut zones = Vec::with_capacity(bound.len() + 1);
        let mut nodes: Vec<Node> = Vec::new();
        for zone in bound {
            zones.push(Zone { first: nodes.len(), size: zone.members.len(), least: zone.least, most: zone.most });
            nodes.extend(nodes_of(zone, zones.len() - 1));
        }
        let first = nodes.len();
        nodes.extend(loose.into_iter().flat_map(|zone| nodes_of(zone, zones.len())));
        if nodes.len() > first {
            zones.push(Zone { first, size: nodes.len() - first, least: 0, most: fair.replicas });
        }

        let mut node_of = vec![None; nodes.iter().map(|n| usize::from(n.member) + 1).max().unwrap_or(0)];
        for (n, node) in nodes.iter().enumerate() {
            node_of[usize::from(node.member)] = Some(n as u16);
        }
        let partitions = before.into_iter().map(|owners| {
            let nodes = owners.into_iter().filter_map(|member| *node_of.get(usize::from(member))?);
            let owners: Vec<u16> = nodes.collect();
            Partition { before: owners.clone(), owners }
        });
        let partitions: Vec<Partition> = partitions.collect();

        let slots = partitions.len() * zones.len();
        let vertices = 1 + nodes.len() + partitions.len() + slots;
        let mut network = Network { zones, nodes, partitions, given: vec![0; slots], excess: vec![0; vertices] };
        network.start(fair.replicas);
        network
    }

    /// Lets every arc carry what the owners ask of it, as far as its bounds allow, and books the differences.
    fn start(&mut self, replicas: usize) {
        for p in 0..self.partitions.len() {
            let mut given_all = 0;
            for z in 0..self.zones.len() {
                let zone = &self.zones[z];
                let here = |n: &&u16| self.nodes[usize::from(**n)].zone == z;
                let held = self.partitions[p].owners.iter().filter(here).count();
                let given = held.clamp(zone.least, zone.most);
                given_all += given;
                self.book(Is::Slot(p, z), given as i32 - held as i32);
                self.given[p * self.zones.len() + z] = given as u8;
            }
            self.book(Is::Partition(p), replicas as i32 - given_all as i32);
            for &n in &self.partitions[p].owners {
                self.nodes[usize::from(n)].held.push(p as u16);
            }
        }
        for n in 0..self.nodes.len() {
            let node = &mut self.nodes[n];
            // Whoever gives replicas up is not to give up the first partitions always.
            node.held.sort_by_cached_key(|&p| scrambled(p, n as u16));
            node.passes = node.held.len().clamp(node.least, node.most);
            let (held, passes) = (node.held.len() as i32, node.passes as i32);
            self.book(Is::Node(n), held - passes);
            self.book(Is::Pool, passes);
        }
        self.book(Is::Pool, -((replicas * self.partitions.len()) as i32));
    }

    fn book(&mut self, at: Is, replicas: i32) {
        let vertex = self.vertex(at);
        self.excess[vertex] += replicas;
    }
}

/// Whether a zone may give any of its nodes to a partition, or must give all, which is then their share as well. Where every
/// node is a zone of its own this spares a slot for each of them in each partition.
fn is_loose(zone: &FairZone) -> bool {
    let size = zone.members.len();
    zone.most >= size && (zone.least == 0 || zone.least == size)
}

fn nodes_of(of: &FairZone, zone: usize) -> impl Iterator<Item = Node> {
    of.members.iter().zip(&of.shares).map(move |(&member, share)| {
        let (least, most) = ((share / UNIT) as usize, share.div_ceil(UNIT) as usize);
        Node { member, zone, least, most, passes: 0, held: Vec::new() }
    })
}
