//! Balances a network at the least cost.
//!
//! The primal-dual method for minimum-cost flows (Ahuja, Magnanti and Orlin, *Network Flows*, 1993, section 9.8). Every
//! vertex has a price, such that no residual arc costs less than the difference between its ends' prices: then no detour
//! would be cheaper, and the flow costs the least of all that leave the same excesses. At first all prices are 0, which
//! is true of a network in which nothing has moved. Then, until all is balanced:
//!
//! 1. The prices are raised by the distances from the sources, as far as the nearest vertex that lacks a replica.
//!    Distances are small numbers (replicas that move for one to find its place), so vertices queue in a bucket for
//!    each (Dial's algorithm).
//! 2. Along the arcs that cost just the difference in prices as many replicas as possible go from sources to vertices
//!    that lack some: each time along paths of the fewest arcs until there is none as short (Dinic's algorithm).
//!
//! Each round lengthens the distance, so there are as few rounds as distances.

use super::network::{Arc, Network, Vertex};

/// No path leads there.
const UNREACHED: u32 = u32::MAX;

/// Balances `network`, whatever it takes and no more.
pub(super) fn settle(network: &mut Network) {
    let mut prices = vec![0; network.vertices()];
    loop {
        let sources = network.sources();
        if sources.is_empty() {
            return;
        }
        raise(&mut prices, network, &sources);
        while send(network, &prices) {}
    }
}

/// What an arc costs beyond the difference in prices. Never negative.
fn extra(prices: &[i32], from: Vertex, to: Vertex, cost: i32) -> usize {
    let extra = cost + prices[from] - prices[to];
    debug_assert!(extra >= 0, "an arc from {from} to {to} is underpriced by {extra}");
    extra as usize
}

/// Raises the prices by the distance from the nearest source, or by that of the nearest vertex that lacks a replica where
/// it is less.
fn raise(prices: &mut [i32], network: &Network, sources: &[Vertex]) {
    let mut distances = vec![UNREACHED; network.vertices()];
    sources.iter().for_each(|&source| distances[source] = 0);
    let mut buckets = vec![sources.to_vec()];
    let mut distance = 0;
    let nearest = 'search: loop {
        assert!(
            distance < buckets.len(),
            "fair shares are an assignment in fractions, so there is one in whole replicas"
        );
        while let Some(vertex) = buckets[distance].pop() {
            if distances[vertex] != distance as u32 {
                continue;
            }
            if network.excess(vertex) < 0 {
                break 'search distance as u32;
            }
            let arcs = network.arcs(vertex);
            for arc in (0..).map(arcs).take_while(|arc| *arc != Arc::End) {
                let Arc::Open(to, cost) = arc else { continue };
                let there = distance + extra(prices, vertex, to, cost);
                if (there as u32) < distances[to] {
                    distances[to] = there as u32;
                    if buckets.len() <= there {
                        buckets.resize(there + 1, Vec::new());
                    }
                    buckets[there].push(to);
                }
            }
        }
        distance += 1;
    };
    for (price, distance) in prices.iter_mut().zip(distances) {
        *price += distance.min(nearest) as i32;
    }
}

/// Sends what can go along the shortest of the cheapest paths; `false` if there is none.
fn send(network: &mut Network, prices: &[i32]) -> bool {
    let sources = network.sources();
    let Some(steps) = steps_from(&sources, network, prices) else {
        return false;
    };
    let mut paths = Paths { steps, tried: vec![0; network.vertices()] };
    for source in sources {
        while network.excess(source) > 0
            && let Some(path) = paths.next(source, network, prices)
        {
            for step in path {
                network.carry(step.from, step.nth, step.to);
            }
        }
    }
    true
}

/// How many of the cheapest arcs lead from a source to each vertex, as far as the nearest that lacks a replica; `None` if they
/// lead to none.
fn steps_from(sources: &[Vertex], network: &Network, prices: &[i32]) -> Option<Vec<u32>> {
    let mut steps = vec![UNREACHED; network.vertices()];
    sources.iter().for_each(|&source| steps[source] = 0);
    let mut queue = sources.to_vec();
    let mut found = None;
    let mut next = 0;
    while let Some(&vertex) = queue.get(next) {
        next += 1;
        let here = steps[vertex];
        if network.excess(vertex) < 0 {
            found = Some(here);
        }
        if found.is_some_and(|found| here >= found) {
            continue;
        }
        let arcs = network.arcs(vertex);
        for arc in (0..).map(arcs).take_while(|arc| *arc != Arc::End) {
            if let Arc::Open(to, cost) = arc
                && steps[to] == UNREACHED
                && extra(prices, vertex, to, cost) == 0
            {
                steps[to] = here + 1;
                queue.push(to);
            }
        }
    }
    found.map(|_| steps)
}

/// One arc of a path.
#[derive(Clone, Copy)]
struct Step {
    from: Vertex,
    nth: usize,
    to: Vertex,
}

/// A search for paths that goes on where the last one ended.
struct Paths {
    /// See [`steps_from`]. [`UNREACHED`] once no path is left from there.
    steps: Vec<u32>,
    /// The arc of each vertex that is to be tried next.
    tried: Vec<u32>,
}

impl Paths {
    /// A path from `source` to a vertex that lacks a replica.
    fn next(&mut self, source: Vertex, network: &Network, prices: &[i32]) -> Option<Vec<Step>> {
        let mut path: Vec<Step> = Vec::new();
        let mut here = source;
        while network.excess(here) >= 0 {
            match self.step(here, network, prices) {
                Some(step) => {
                    path.push(step);
                    here = step.to;
                }
                None => {
                    self.steps[here] = UNREACHED;
                    here = path.pop()?.from;
                }
            }
        }
        Some(path)
    }

    /// The next of the cheapest arcs that leads on from a vertex.
    fn step(&mut self, from: Vertex, network: &Network, prices: &[i32]) -> Option<Step> {
        let arcs = network.arcs(from);
        loop {
            let nth = self.tried[from];
            match arcs(nth as usize) {
                Arc::Open(to, cost) if self.steps[to] == self.steps[from] + 1 && extra(prices, from, to, cost) == 0 => {
                    return Some(Step { from, nth: nth as usize, to });
                }
                Arc::End => return None,
                Arc::Open(..) | Arc::Closed => self.tried[from] += 1,
            }
        }
    }
}
