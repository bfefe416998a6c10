//! `config/reference.toml` against the built-in defaults: equal, complete, and each key explained.

use super::super::problem::Problems;
use super::super::table::read_file;
use super::*;

const REFERENCE: &str = include_str!("../../../config/reference.toml");

/// The two files that the page shows.
fn halves() -> (&'static str, &'static str) {
    let middle = REFERENCE.find("# ===== node1.toml").expect("the second half has its heading");
    REFERENCE.split_at(middle)
}

/// A half with what its comments offer instead of a section in that section's place.
fn with_alternative(half: &str) -> String {
    let (before, rest) = half.split_once("# ----- or").expect("an alternative");
    let (block, after) = rest.split_once("# -----\n").expect("its end");
    let section = before.rfind("\n[").map_or(0, |newline| newline + 1);
    let lines = block.lines().skip(1).map(|line| line.strip_prefix("# ").expect("a comment"));
    [&before[..section], &lines.collect::<Vec<_>>().join("\n"), "\n", after].concat()
}

/// Both halves read without their checks, and the keys that they leave out.
fn read(cluster: &str, node: &str) -> (Config, Vec<String>) {
    let (mut config, mut problems, mut path) = (Config::default(), Problems::default(), Default::default());
    let read_cluster = read_file("cluster", cluster, &mut problems, |table| config.cluster.read(table));
    let read_node = read_file("node", node, &mut problems, |table| config.node.read(&mut path, table));
    let sources = [read_cluster, read_node].map(|source| source.expect("TOML"));
    let left_out = sources.iter().flat_map(|source| source.defaulted().clone()).collect();
    (problems.into_result(config).unwrap_or_else(|error| panic!("{error}")), left_out)
}

#[test]
fn the_reference_shows_the_defaults() {
    let (cluster, node) = halves();
    let (mut shown, _) = read(cluster, node);
    let default = shown.cluster.buckets.get_mut("default").expect("shown");
    assert_eq!(default.n.take(), Some(shown.cluster.replication), "by default n is replication");
    let voters = std::mem::take(&mut shown.cluster.coordination.voters);
    assert_eq!(voters, shown.cluster.voters(), "by default the first three vote");
    assert_eq!(shown, Config::default());
}

#[test]
fn the_reference_leaves_no_key_out() {
    let (cluster, node) = halves();
    let instead = read(&with_alternative(cluster), &with_alternative(node)).1;
    let left_out = read(cluster, node).1.into_iter();
    let left_out: Vec<_> = left_out.filter(|key| !repeats(key) && instead.contains(key)).collect();
    assert_eq!(left_out, [""; 0]);
}

/// The first node shows all keys of a node, the others what they must.
fn repeats(key: &str) -> bool {
    key.starts_with("nodes[1].") || key.starts_with("nodes[2].")
}

#[test]
fn both_halves_can_be_copied() {
    let (cluster, node) = halves();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.toml"), cluster).unwrap();
    fs::write(folder.path().join("n.toml"), node).unwrap();
    let config = load_in(folder.path(), &Overrides::default()).unwrap();
    assert_eq!(config.node.data_dir, folder.path().join("data/node1"));
}

#[test]
fn the_alternatives_can_be_copied() {
    let (cluster, node) = halves();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.toml"), with_alternative(cluster)).unwrap();
    fs::write(folder.path().join("n.toml"), node).unwrap();
    let zookeeper = load_in(folder.path(), &Overrides::default()).unwrap().cluster;
    assert_eq!(zookeeper.coordination.kind, CoordinationKind::ZooKeeper);
    let default = ClusterConfig { coordination: CoordinationConfig::default(), ..zookeeper.clone() };
    assert_eq!(zookeeper.coordination_root(), default.coordination_root());

    fs::write(folder.path().join("n.toml"), with_alternative(node)).unwrap();
    let joining = load_in(folder.path(), &Overrides::default()).unwrap();
    assert_eq!((joining.node.joins(), joining.cluster), (true, ClusterConfig::unknown()));
    let default = NodeConfig::default();
    assert_eq!((joining.node.zone, joining.node.weight), (default.zone, default.weight));
}

#[test]
fn each_key_is_explained() {
    let mut nodes = 0;
    let (cluster, node) = halves();
    let pages = [REFERENCE, &with_alternative(cluster), &with_alternative(node)];
    for line in pages.iter().flat_map(|page| page.lines()) {
        nodes += usize::from(line == "[[nodes]]");
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || line.contains(" # ") || nodes > 1 && line.starts_with(['i', 'a']), "no comment: {line}");
    }
}

/// A key that is read into the wrong field, or into none, would pass for a default.
#[test]
fn each_number_is_read_into_its_own_field() {
    let (cluster, node) = halves();
    let mut seen = Vec::new();
    for (i, line) in REFERENCE.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split(" #").next().and_then(|line| line.split_once(" = ")) else { continue };
        let Ok(number) = value.parse::<u64>() else { continue };
        let change = |half: &str, first: usize| -> String {
            let changed = format!("{key} = {}", number + 1);
            half.lines()
                .enumerate()
                .map(|(j, line)| if first + j == i { &changed } else { line })
                .flat_map(|line| [line, "\n"])
                .collect()
        };
        let config = read(&change(cluster, 0), &change(node, cluster.lines().count())).0;
        assert!(!seen.contains(&config), "{key}, line {}", i + 1);
        seen.push(config);
    }
    assert!(seen.len() > 35 && !seen.contains(&read(cluster, node).0));
}
