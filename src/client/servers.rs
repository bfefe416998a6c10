//! Lists of servers as people write them.

use crate::core::id::NodeId;

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
#[error("'{entry}' in the list of servers {problem}; write host:port,host:port or 1|host:port,2|host:port")]
pub struct BadServers {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads `1|host:port,2|host:port` or `host:port,host:port`.
pub fn parse(list: &str) -> Result<Vec<Server>, BadServers> {
    list.split(',').map(|entry| parse_one(entry.trim())).collect()
}

fn parse_one(entry: &str) -> Result<Server, BadServers> {
    let bad = |problem| BadServers { entry: entry.into(), problem };
    let (node, address) = match entry.split_once('|') {
        None => (None, entry),
        Some((number, address)) => {
            let number = number.trim().parse().ok().filter(|n| *n > 0).ok_or_else(|| bad("has no number above 0"))?;
            (Some(NodeId(number)), address.trim())
        }
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| bad("has no port"))?;
    if host.is_empty() {
        return Err(bad("has no host"));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Server { node, address: address.into() }),
        _ => Err(bad("has no port from 1 to 65535")),
    }
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
        let problem = |list| parse(list).unwrap_err().problem;
        assert_eq!(problem("localhost"), "has no port");
        assert_eq!(problem("localhost:8000,"), "has no port");
        assert_eq!(problem(":8000"), "has no host");
        assert_eq!(problem("localhost:0"), "has no port from 1 to 65535");
        assert_eq!(problem("localhost:http"), "has no port from 1 to 65535");
        assert_eq!(problem("0|localhost:8000"), "has no number above 0");
        assert_eq!(problem("a|localhost:8000"), "has no number above 0");
    }
}
