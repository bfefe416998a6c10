//! Every refusal by its exact words, and the reference page against the built-in defaults.

mod cluster;
mod coordination;
mod joining;
mod node;
mod reference;
mod syntax;

use std::fs;
use std::path::Path;

use super::*;
use crate::core::bucket::Bucket;
use crate::core::id::NodeId;

/// A cluster file that nothing is wrong with; tests put their mistake behind it or in its place.
const CLUSTER: &str = r#"name = "t"
[[nodes]]
id = 1
address = "127.0.0.1:7001"
[[nodes]]
id = 2
address = "127.0.0.1:7002"
[[nodes]]
id = 3
address = "127.0.0.1:7003"
"#;

/// A node file that nothing is wrong with.
const NODE: &str = "cluster = \"c.toml\"\nid = 1\ndata_dir = \"d\"\n";

/// Reads two files `n.toml` and `c.toml` of a fresh folder, whose name is cut from all messages.
fn load_with(node: &str, cluster: &str, overrides: &Overrides) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("n.toml"), node).unwrap();
    fs::write(folder.path().join("c.toml"), cluster).unwrap();
    load_in(folder.path(), overrides)
}

fn load_in(folder: &Path, overrides: &Overrides) -> Result<Config, Vec<String>> {
    let cut = format!("{}/", folder.display());
    Config::load(&folder.join("n.toml"), overrides)
        .map_err(|error| error.to_string().replace(&cut, "").lines().map(String::from).collect())
}

fn load(node: &str, cluster: &str) -> Result<Config, Vec<String>> {
    load_with(node, cluster, &Overrides::default())
}

/// The one refusal of a node's file with `rest` behind [`NODE`], so from line 4 on.
fn node_refusal(rest: &str) -> String {
    one(load(&format!("{NODE}{rest}"), CLUSTER))
}

/// The one refusal of a cluster's file with `rest` behind [`CLUSTER`], so from line 11 on.
fn cluster_refusal(rest: &str) -> String {
    one(load(NODE, &format!("{CLUSTER}{rest}")))
}

fn one(result: Result<Config, Vec<String>>) -> String {
    let mut problems = result.expect_err("refused");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}
