//! The network between the hosts of a simulation, by their names.

/// Two hosts.
pub type Pair = (String, String);

/// Cuts every host of the one side off from every one of the other; answers what to [`repair`].
pub fn cut(sim: &mut turmoil::Sim, left: &[String], right: &[String]) -> Vec<Pair> {
    let pairs: Vec<Pair> = left.iter().flat_map(|a| right.iter().map(move |b| (a.clone(), b.clone()))).collect();
    pairs.iter().for_each(|(a, b)| sim.partition(a.as_str(), b.as_str()));
    pairs
}

/// They hear each other again.
pub fn repair(sim: &mut turmoil::Sim, cut: &[Pair]) {
    cut.iter().for_each(|(a, b)| sim.repair(a.as_str(), b.as_str()));
}

/// Every two of them.
pub fn pairs(names: &[String]) -> impl Iterator<Item = (&String, &String)> {
    names.iter().enumerate().flat_map(|(i, a)| names[i + 1..].iter().map(move |b| (a, b)))
}

/// One of them, and the others.
pub fn apart_from(mut names: Vec<String>, one: usize) -> (String, Vec<String>) {
    (names.remove(one), names)
}
