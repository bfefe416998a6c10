//! Where a node may listen, and what it says if it cannot.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether only this machine reaches `host`, judged by its form alone: `localhost` and the loopback addresses. Any other
/// name counts as reachable, for what it resolves to may change.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether `host` stands for all addresses of a machine, which is a place to listen and none to be reached at.
pub(super) fn is_unspecified(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_unspecified())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_unspecified())
}

/// Why a node cannot listen. Names the key to change.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error(
        "listen = \"{listen}\": the port is in use, perhaps by this node already; stop what listens there or change listen"
    )]
    InUse {
        /// The configured address.
        listen: String,
    },
    /// The address is none of this machine's.
    #[error("listen = \"{listen}\": this machine has no such address; give one of its own, or 127.0.0.1")]
    NotMine {
        /// The configured address.
        listen: String,
    },
    /// Ports below 1024 belong to the system.
    #[error("listen = \"{listen}\": not permitted; ports below 1024 are the system's, give a higher one")]
    NotPermitted {
        /// The configured address.
        listen: String,
    },
    /// Anything else, a name that does not resolve for one.
    #[error("listen = \"{listen}\": {source}")]
    Other {
        /// The configured address.
        listen: String,
        /// The system's words.
        source: io::Error,
    },
}

impl ListenError {
    /// What a failure to listen at the configured address means.
    pub fn new(listen: &str, source: io::Error) -> ListenError {
        let listen = listen.into();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { listen },
            io::ErrorKind::AddrNotAvailable => ListenError::NotMine { listen },
            io::ErrorKind::PermissionDenied => ListenError::NotPermitted { listen },
            _ => ListenError::Other { listen, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "[::]", "10.0.0.1", "example", "localhost.example", "[::ffff:10.0.0.1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_port_in_use_names_the_key() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let error = ListenError::new(&listen, std::net::TcpListener::bind(&listen).unwrap_err());
        let message = "the port is in use, perhaps by this node already; stop what listens there or change listen";
        assert_eq!(error.to_string(), format!("listen = \"{listen}\": {message}"));
    }

    #[test]
    fn each_failure_names_the_key() {
        for (kind, message) in [
            (io::ErrorKind::AddrNotAvailable, "this machine has no such address; give one of its own, or 127.0.0.1"),
            (io::ErrorKind::PermissionDenied, "not permitted; ports below 1024 are the system's, give a higher one"),
            (io::ErrorKind::TimedOut, "timed out"),
        ] {
            assert_eq!(ListenError::new("a:1", kind.into()).to_string(), format!("listen = \"a:1\": {message}"));
        }
    }
}
