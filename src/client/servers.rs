//! Lists of servers as people write them.

use crate::core::id::NodeId;
use crate::wire::servers::{BadAddress, split_address};

/// One server of a list: `host:port`, or with the node's number before it, `1|host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// The node's number, where the list gives it.
    pub node: Option<NodeId>,
    /// `host:port`.
    pub address: String,
}

/// A list of servers that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadServers {
    /// Something else than a node's number before the bar.
    #[error("'{0}' in the list of servers has no number from 1 before its bar; write 1|host:port,2|host:port")]
    Number(String),
    /// An address that is malformed.
    #[error("in the list of servers {0}")]
    Address(#[from] BadAddress),
}

/// Reads `1|host:port,2|host:port` or `host:port,host:port`.
pub fn parse(list: &str) -> Result<Vec<Server>, BadServers> {
    list.split(',').map(|entry| parse_one(entry.trim())).collect()
}

fn parse_one(entry: &str) -> Result<Server, BadServers> {
    let (node, address) = match entry.split_once('|') {
        None => (None, entry),
        Some((number, address)) => {
            let number = number.trim().parse().ok().filter(|n| *n > 0);
            (Some(NodeId(number.ok_or_else(|| BadServers::Number(entry.into()))?)), address.trim())
        }
    };
    split_address(address)?;
    Ok(Server { node, address: address.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let server = |node, address: &str| Server { node, address: address.into() };
        assert_eq!(
            parse("1|localhost:8000, 2|10.0.0.1:8001,[::1]:9"),
            Ok(vec![
                server(Some(NodeId(1)), "localhost:8000"),
                server(Some(NodeId(2)), "10.0.0.1:8001"),
                server(None, "[::1]:9")
            ])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problem = |list| parse(list).unwrap_err().to_string();
        assert_eq!(
            problem("localhost:8000,localhost"),
            "in the list of servers 'localhost' has no port; give host:port, for example 127.0.0.1:8000"
        );
        for number in ["0|localhost:8000", "a|localhost:8000"] {
            assert_eq!(parse(number), Err(BadServers::Number(number.into())));
        }
    }
}
