//! Ports that nobody uses.

use std::io;
use std::net::TcpListener;
use std::ops::Range;

use rand::rngs::OsRng;
use rand::{Rng, TryRngCore};

/// Below the ports that systems give to outgoing connections, so that a port stays free while its node is down.
const RANGE: Range<u16> = 10_000..32_000;
/// How many are tried before it is not chance any more.
const ATTEMPTS: usize = 1000;

/// So many different addresses of the loopback interface, `host:port`, on which nobody listens.
///
/// # Errors
/// If no free port is found.
pub fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    let mut rng = OsRng.unwrap_err();
    let mut held: Vec<TcpListener> = Vec::with_capacity(count);
    for _ in 0..count + ATTEMPTS {
        if held.len() == count {
            break;
        }
        let port = rng.random_range(RANGE);
        // Held until all are found, so that all differ.
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    if held.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no {count} free ports in {RANGE:?}")));
    }
    held.iter().map(|listener| listener.local_addr().map(|address| address.to_string())).collect()
}
