//! Which cluster to talk to.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use kv::client::{Client, servers};

use crate::exit::CliError;
use crate::options::duration;

/// The environment variable that names servers.
const KV_SERVERS: &str = "KV_SERVERS";
/// What `make cluster` starts.
const LOCAL: &str = "localhost:8000,localhost:8001,localhost:8002";

/// Where the cluster is and how long to try.
#[derive(Args, Debug)]
pub struct Where {
    /// Nodes of the cluster: host:port,host:port or 1|host:port,2|host:port
    #[arg(long = "servers", value_name = "LIST", global = true)]
    list: Option<String>,
    /// A cluster.toml or node.toml that lists the nodes
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<String>,
    /// How long to try, such as 500ms or 2s
    #[arg(long, value_name = "TIME", global = true, value_parser = duration, default_value = "5s")]
    timeout: Duration,
}

impl Where {
    /// Connects; `position` is the SERVERS of the command itself and comes before everything else.
    pub async fn connect(&self, position: Option<&str>) -> Result<Client, CliError> {
        let environment = std::env::var(KV_SERVERS).ok();
        let addresses = self.addresses(position, environment)?;
        let client = Client::builder()
            .servers(addresses)
            .name(concat!("kv-cli ", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout)
            .connect_timeout(self.timeout.min(Duration::from_secs(1)))
            .retries(1);
        Ok(client.connect().await?)
    }

    /// The options that name the same cluster again, for commands that are suggested.
    pub fn as_arguments(&self, position: Option<&str>) -> String {
        match (position.or(self.list.as_deref()), &self.config) {
            (Some(list), _) => format!(" --servers {}", quoted(list)),
            (None, Some(file)) => format!(" --config {}", quoted(file)),
            (None, None) => String::new(),
        }
    }

    fn addresses(&self, position: Option<&str>, environment: Option<String>) -> Result<Vec<String>, CliError> {
        let list = match (position.or(self.list.as_deref()), &self.config, environment) {
            (Some(list), _, _) => list.to_string(),
            (None, Some(file), _) => return from_file(Path::new(file)),
            (None, None, Some(list)) if !list.is_empty() => list,
            _ => LOCAL.into(),
        };
        Ok(servers::parse(&list)?.into_iter().map(|server| server.address).collect())
    }
}

/// An argument as a shell takes it back.
pub fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.into();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// The addresses in a configuration: `[[nodes]]` with `address`, there or in the file that `cluster` names. Everything else is
/// the node's business.
fn from_file(path: &Path) -> Result<Vec<String>, CliError> {
    let table = parsed(path)?;
    if let Some(addresses) = nodes(path, &table)? {
        return Ok(addresses);
    }
    let shared = table.get("cluster").and_then(toml::Value::as_str).map(|cluster| path.with_file_name(cluster));
    match shared.map(|shared| nodes(&shared, &parsed(&shared)?)).transpose()?.flatten() {
        Some(addresses) => Ok(addresses),
        None => Err(wrong(path, "there are no [[nodes]], nor a cluster = \"path\" to a file that has them")),
    }
}

fn parsed(path: &Path) -> Result<toml::Table, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| wrong(path, error))?;
    text.parse().map_err(|error: toml::de::Error| wrong(path, error))
}

/// The addresses of `[[nodes]]`, if there are nodes.
fn nodes(path: &Path, table: &toml::Table) -> Result<Option<Vec<String>>, CliError> {
    let nodes = table.get("nodes").and_then(toml::Value::as_array).filter(|nodes| !nodes.is_empty());
    let address = |node: &toml::Value| match node.get("address").and_then(toml::Value::as_str) {
        Some(address) => Ok(address.to_string()),
        None => Err(wrong(path, "each of [[nodes]] needs an address = \"host:port\"")),
    };
    nodes.map(|nodes| nodes.iter().map(address).collect()).transpose()
}

fn wrong(path: &Path, reason: impl ToString) -> CliError {
    CliError::File { path: path.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(list: Option<&str>, config: Option<&str>) -> Where {
        Where { list: list.map(Into::into), config: config.map(Into::into), timeout: Duration::from_secs(1) }
    }

    #[test]
    fn the_nearest_list_wins() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node1.toml");
        std::fs::write(&file, "id = 1\ncluster = \"cluster.toml\"\n").unwrap();
        let shared = "name = \"c\"\n[[nodes]]\nid = 1\naddress = \"c:3\"\n[[nodes]]\nid = 2\naddress = \"d:3\"\n";
        std::fs::write(directory.path().join("cluster.toml"), shared).unwrap();
        let file = file.to_str().unwrap();
        let environment = || Some("e:4".to_string());
        assert_eq!(at(Some("b:2"), Some(file)).addresses(Some("1|a:1"), environment()).unwrap(), ["a:1"]);
        assert_eq!(at(Some("b:2"), Some(file)).addresses(None, environment()).unwrap(), ["b:2"]);
        assert_eq!(at(None, Some(file)).addresses(None, environment()).unwrap(), ["c:3", "d:3"]);
        assert_eq!(at(None, None).addresses(None, environment()).unwrap(), ["e:4"]);
        assert_eq!(at(None, None).addresses(None, None).unwrap().len(), 3);
    }

    #[test]
    fn a_file_without_nodes_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.toml");
        for text in
            ["", "cluster = \"empty.toml\"", "cluster = \"missing.toml\"", "nodes = []", "[[nodes]]\nid = 1", "="]
        {
            std::fs::write(&file, text).unwrap();
            let error = from_file(&file).unwrap_err().to_string();
            assert!(error.contains(".toml: "), "{text}: {error}");
        }
    }

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(quoted("localhost:8000"), "localhost:8000");
        assert_eq!(quoted("1|a:1"), "'1|a:1'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
