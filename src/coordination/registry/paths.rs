//! Where things stand in the tree.

use crate::coordination::tree::Path;
use crate::core::id::{NodeId, StoreId};

use super::error::Error;

/// Above everything that nodes keep: what a node watches.
pub const ROOT: &str = "/kv";
/// The cluster as it was founded.
pub const CLUSTER: &str = "/kv/cluster";
/// Who is in the cluster.
pub const RING: &str = "/kv/ring";
/// Every store that ever was, one node each.
pub const STORES: &str = "/kv/stores";
/// The nodes that hold a session, one ephemeral node each.
pub const LIVE: &str = "/kv/live";
/// Properties of buckets, one node each.
pub const BUCKETS: &str = "/kv/buckets";
/// Stores whose copies called and were refused, one node each.
pub const ALARMS: &str = "/kv/alarms";

/// What operators have staged.
pub const PLAN: &str = "/kv/plan";
/// The ring change that runs, or the last one that did.
pub const CHANGE: &str = "/kv/change";
/// How far stores are in it, one node each.
pub const TRANSFERS: &str = "/kv/transfers";

/// The nodes that hold no data, parents first.
pub(super) const FOLDERS: [&str; 6] = [ROOT, STORES, LIVE, BUCKETS, ALARMS, TRANSFERS];

/// A path known to be one.
pub(super) fn path(text: &str) -> Result<Path, Error> {
    text.parse().map_err(|error| Error::Invalid { reason: format!("{error}") })
}

/// The record of a store.
pub(super) fn store(store: StoreId) -> Result<Path, Error> {
    path(&format!("{STORES}/{store}"))
}

/// The entry of a node that holds a session.
pub(super) fn live(node: NodeId) -> Result<Path, Error> {
    path(&format!("{LIVE}/{node}"))
}

/// The properties of a bucket.
pub(super) fn bucket(name: &str) -> Result<Path, Error> {
    path(&format!("{BUCKETS}/{}", escape(name)))
}

/// What a store's node says of its transfers.
pub(super) fn transfers(store: StoreId) -> Result<Path, Error> {
    path(&format!("{TRANSFERS}/{store}"))
}

/// The alarm about a store.
pub(super) fn alarm(store: StoreId) -> Result<Path, Error> {
    path(&format!("{ALARMS}/{store}"))
}

/// A bucket's name as the name of a node: letters, digits, `_` and `-` as they are, points too unless they begin it, every
/// other byte as `%` and two hexadecimal digits. Different names stay different.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        match byte {
            b'_' | b'-' => escaped.push(byte.into()),
            b'.' if i > 0 => escaped.push('.'),
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02x}")),
        }
    }
    escaped
}

/// The bucket's name behind the name of a node; `None` if nothing is escaped that way.
pub(super) fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = escaped.bytes();
    let mut name = vec![];
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(name).ok().filter(|name| escape(name) == escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_of_a_bucket_is_found_again(name in "\\PC{1,60}") {
            let path = bucket(&name).unwrap();
            prop_assert_eq!(unescape(path.name()), Some(name));
        }
    }

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(bucket("carts-2.eu").unwrap().as_str(), "/kv/buckets/carts-2.eu");
        assert_eq!(bucket("a/b ü").unwrap().as_str(), "/kv/buckets/a%2fb%20%c3%bc");
        assert_eq!(bucket("..").unwrap().as_str(), "/kv/buckets/%2e.");
        for stranger in ["%", "%4", "%41", "a b", "%2F", "."] {
            assert_eq!(unescape(stranger), None, "{stranger}");
        }
    }
}
