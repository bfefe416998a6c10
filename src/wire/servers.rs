//! How people write addresses: `host:port`, and the short form of a server list, `1|host:port,2|host:port`.
//!
//! Only the form is judged here. Names are resolved when somebody connects, and again at each reconnect.

use std::net::Ipv6Addr;

use crate::core::id::NodeId;

/// What is wrong with an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAddress {
    /// Nothing after a colon, or no colon.
    #[error("'{0}' has no port; give host:port, for example 127.0.0.1:8000")]
    NoPort(String),
    /// Something else than a port after the colon.
    #[error("'{address}' has no valid port; '{port}' should be a number from 1 to 65535")]
    Port {
        /// As it was given.
        address: String,
        /// The part that is no port.
        port: String,
    },
    /// Neither a name nor an IP address before the colon.
    #[error("'{0}' has no valid host; give a name or an IP address, IPv6 in brackets as in [::1]:8000")]
    Host(String),
}

/// Takes `host:port` apart; the host keeps its brackets. Port 0 is refused: nobody could dial it.
pub fn split_address(address: &str) -> Result<(&str, u16), BadAddress> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && !port.ends_with(']') => (host, port),
        _ => return Err(BadAddress::NoPort(address.into())),
    };
    let number = match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => number,
        _ => return Err(BadAddress::Port { address: address.into(), port: port.into() }),
    };
    if !is_host(host) {
        return Err(BadAddress::Host(address.into()));
    }
    Ok((host, number))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    }
}

/// What is wrong with a server list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadServers {
    /// Nothing in it.
    #[error("the server list is empty; give ID|HOST:PORT, several separated by commas")]
    Empty,
    /// An entry without its bar, or with something else than a number before it.
    #[error("'{0}' is no server; give ID|HOST:PORT with an id from 1, for example 1|localhost:8000")]
    Entry(String),
    /// An entry whose address is malformed.
    #[error("server {id}: {source}")]
    Address {
        /// The entry's.
        id: NodeId,
        /// What is wrong with it.
        source: BadAddress,
    },
    /// Two entries with one id.
    #[error("the server list names node {0} twice; give each node an id of its own")]
    DuplicateId(NodeId),
    /// Two entries with one address.
    #[error("the server list gives {address} to nodes {first} and {second}; give each node an address of its own")]
    DuplicateAddress {
        /// The address.
        address: String,
        /// Who has it first.
        first: NodeId,
        /// Who has it again.
        second: NodeId,
    },
}

/// Reads `1|host:port,2|host:port`, in the order given. Blanks around entries, ids and addresses do not count.
pub fn parse_servers(list: &str) -> Result<Vec<(NodeId, String)>, BadServers> {
    if list.trim().is_empty() {
        return Err(BadServers::Empty);
    }
    let mut servers: Vec<(NodeId, String)> = Vec::new();
    for entry in list.split(',') {
        let (id, address) = parse_server(entry.trim())?;
        if servers.iter().any(|(other, _)| *other == id) {
            return Err(BadServers::DuplicateId(id));
        }
        if let Some((first, _)) = servers.iter().find(|(_, other)| other.eq_ignore_ascii_case(&address)) {
            return Err(BadServers::DuplicateAddress { address, first: *first, second: id });
        }
        servers.push((id, address));
    }
    Ok(servers)
}

fn parse_server(entry: &str) -> Result<(NodeId, String), BadServers> {
    let bad = || BadServers::Entry(entry.into());
    let (id, address) = entry.split_once('|').ok_or_else(bad)?;
    let id = id.trim().parse().ok().filter(|id| *id > 0).map(NodeId).ok_or_else(bad)?;
    let address = address.trim();
    split_address(address).map_err(|source| BadServers::Address { id, source })?;
    Ok((id, address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_form_is_read_in_order() {
        let servers = parse_servers("2|localhost:8001, 1 | [::1]:8000").unwrap();
        assert_eq!(servers, [(NodeId(2), "localhost:8001".into()), (NodeId(1), "[::1]:8000".into())]);
    }

    #[test]
    fn each_refusal_says_what_would_be_right() {
        for (list, message) in [
            ("", "the server list is empty; give ID|HOST:PORT, several separated by commas"),
            ("x:1", "'x:1' is no server; give ID|HOST:PORT with an id from 1, for example 1|localhost:8000"),
            ("0|x:1", "'0|x:1' is no server; give ID|HOST:PORT with an id from 1, for example 1|localhost:8000"),
            ("1|x:1,", "'' is no server; give ID|HOST:PORT with an id from 1, for example 1|localhost:8000"),
            ("1|x", "server 1: 'x' has no port; give host:port, for example 127.0.0.1:8000"),
            ("1|x:1,1|y:1", "the server list names node 1 twice; give each node an id of its own"),
            ("1|x:1,2|X:1", "the server list gives X:1 to nodes 1 and 2; give each node an address of its own"),
        ] {
            assert_eq!(parse_servers(list).unwrap_err().to_string(), message, "{list}");
        }
    }

    #[test]
    fn each_bad_address_says_what_would_be_right() {
        let port = |address: &str, port: &str| {
            format!("'{address}' has no valid port; '{port}' should be a number from 1 to 65535")
        };
        let host = |address: &str| {
            format!("'{address}' has no valid host; give a name or an IP address, IPv6 in brackets as in [::1]:8000")
        };
        for (address, message) in [
            ("[::1]", "'[::1]' has no port; give host:port, for example 127.0.0.1:8000".into()),
            ("a:", "'a:' has no port; give host:port, for example 127.0.0.1:8000".into()),
            ("a:0", port("a:0", "0")),
            ("a:65536", port("a:65536", "65536")),
            ("a:+1", port("a:+1", "+1")),
            (":80", host(":80")),
            ("::1:80", host("::1:80")),
            ("a b:80", host("a b:80")),
        ] {
            assert_eq!(split_address(address).unwrap_err().to_string(), message, "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ids in proptest::collection::btree_set(1u32.., 1..9)) {
            let servers: Vec<_> = ids.into_iter().map(|id| (NodeId(id), format!("host-{id}.example:{}", 1 + id % 65535))).collect();
            let list: Vec<_> = servers.iter().map(|(id, address)| format!("{id}|{address}")).collect();
            prop_assert_eq!(parse_servers(&list.join(",")), Ok(servers));
        }

        #[test]
        fn garbage_never_panics(list in "\\PC{0,40}") {
            let _ = parse_servers(&list);
        }
    }
}
