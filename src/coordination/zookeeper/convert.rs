//! ZooKeeper's words for ours, and back.

use super::zk;
use crate::coordination::tree::{Change, CreateMode, Limit, Path, Refusal, Revision, SessionId, Stat};

/// Bytes of a request that a server takes: the default of `jute.maxbuffer`.
const REQUEST_BYTES_MAX: u64 = 0xf_ffff;
/// At least what a request needs beside its steps, and a step beside its path and data.
const OVERHEAD_BYTES: u64 = 64;
/// A version that no node has before it was set 2³¹ times: what is expected of it is refused.
pub(super) const NO_VERSION: i32 = i32::MIN;

pub(super) fn revision(zxid: i64) -> Revision {
    Revision(zxid.try_into().unwrap_or(0))
}

pub(super) fn session_id(id: zk::SessionId) -> SessionId {
    SessionId(id.0.cast_unsigned())
}

pub(super) fn stat(stat: &zk::Stat) -> Stat {
    Stat {
        created: revision(stat.czxid),
        modified: revision(stat.mzxid),
        // ZooKeeper's versions go on below zero after 2³¹ changes.
        version: stat.version.cast_unsigned().into(),
        children_version: stat.cversion.cast_unsigned().into(),
        owner: (stat.ephemeral_owner != 0).then(|| session_id(zk::SessionId(stat.ephemeral_owner))),
        data_bytes: stat.data_length.try_into().unwrap_or(0),
        children: stat.num_children.try_into().unwrap_or(0),
    }
}

/// What is known of a node when it was just made.
pub(super) fn new_node(data: &[u8], owner: Option<SessionId>, created: Revision) -> Stat {
    Stat {
        created,
        modified: created,
        version: 0,
        children_version: 0,
        owner,
        data_bytes: data.len() as u64,
        children: 0,
    }
}

/// The last change of a node or of its children, which whoever was told this stat has seen.
pub(super) fn newest(stat: &zk::Stat) -> Revision {
    revision(stat.czxid.max(stat.mzxid).max(stat.pzxid))
}

/// To ZooKeeper -1 is any version.
pub(super) fn expected(version: Option<u64>) -> Option<i32> {
    let exact = |version| u32::try_from(version).ok().map(u32::cast_signed).filter(|version| *version != -1);
    version.map(|version| exact(version).unwrap_or(NO_VERSION))
}

pub(super) fn create_options(mode: CreateMode) -> zk::CreateOptions<'static> {
    let mode = match mode {
        CreateMode::Persistent => zk::CreateMode::Persistent,
        CreateMode::PersistentSequential => zk::CreateMode::PersistentSequential,
        CreateMode::Ephemeral => zk::CreateMode::Ephemeral,
        CreateMode::EphemeralSequential => zk::CreateMode::EphemeralSequential,
    };
    mode.with_acls(zk::Acls::anyone_all())
}

/// What ZooKeeper's answer to a change says, if it refused the change for what the tree is like.
pub(super) fn refusal(change: &Change, error: &zk::Error) -> Option<Refusal> {
    let (Change::Create { path, .. }
    | Change::Set { path, .. }
    | Change::Delete { path, .. }
    | Change::Check { path, .. }) = change;
    let parent = || path.parent().unwrap_or_else(Path::root);
    Some(match (error, change) {
        // Below the root of the service is no parent that could be missing, but somebody may have deleted that root.
        (zk::Error::NoNode, Change::Create { .. }) => Refusal::NoNode { path: parent() },
        (zk::Error::NoNode, _) => Refusal::NoNode { path: path.clone() },
        (zk::Error::NodeExists, _) => Refusal::NodeExists { path: path.clone() },
        (zk::Error::NotEmpty, _) => Refusal::NotEmpty { path: path.clone() },
        (zk::Error::NoChildrenForEphemerals, _) => Refusal::NoChildrenForEphemerals { path: parent() },
        (
            zk::Error::BadVersion,
            Change::Set { expected: Some(expected), .. }
            | Change::Delete { expected: Some(expected), .. }
            | Change::Check { expected: Some(expected), .. },
        ) => Refusal::BadVersion { path: path.clone(), expected: *expected },
        _ => return None,
    })
}

/// Why a change can never be. ZooKeeper is not asked for it: to it our root is a node like others, or no good argument.
pub(super) fn impossible(change: &Change) -> Option<Refusal> {
    match change {
        Change::Create { path, .. } if path.is_root() => Some(Refusal::NodeExists { path: path.clone() }),
        Change::Create { path, mode, .. } if mode.is_sequential() && path.numbered(0).is_err() => {
            Some(Refusal::TooMuch { limit: Limit::PathBytes, max: Path::BYTES_MAX as u64 })
        }
        Change::Delete { path, .. } if path.is_root() => Some(Refusal::RootStays),
        _ => None,
    }
}

/// Refuses what no server takes: it would close the connection.
pub(super) fn check_size(root: &Path, changes: &[Change]) -> Result<(), Refusal> {
    let (mut around, mut data) = (OVERHEAD_BYTES, 0);
    for change in changes {
        let (path, bytes) = match change {
            Change::Create { path, data, .. } | Change::Set { path, data, .. } => (path, data.len()),
            Change::Delete { path, .. } | Change::Check { path, .. } => (path, 0),
        };
        around += OVERHEAD_BYTES + (root.as_str().len() + path.as_str().len()) as u64;
        data += bytes as u64;
    }
    let max = REQUEST_BYTES_MAX.saturating_sub(around);
    if data > max || around > REQUEST_BYTES_MAX {
        return Err(Refusal::TooMuch { limit: Limit::WriteBytes, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn versions_that_no_node_has_are_not_taken_for_any() {
        assert_eq!(expected(None), None);
        assert_eq!(expected(Some(7)), Some(7));
        assert_eq!(expected(Some(1 << 31)), Some(i32::MIN));
        for never in [u64::from(u32::MAX), 1 << 32, u64::MAX] {
            assert_eq!(expected(Some(never)), Some(NO_VERSION));
        }
    }

    #[test]
    fn what_fits_no_request_is_refused() {
        let set = |bytes: usize| Change::Set { path: path("/a"), data: vec![0; bytes].into(), expected: None };
        let largest = match check_size(&path("/kv"), &[set(1 << 20)]) {
            Err(Refusal::TooMuch { limit: Limit::WriteBytes, max }) => max as usize,
            other => panic!("{other:?}"),
        };
        assert_eq!(check_size(&path("/kv"), &[set(largest)]), Ok(()));
        assert!(check_size(&path("/kv"), &[set(largest + 1)]).is_err());
        assert!(check_size(&path("/kv"), &[set(largest / 2), set(largest / 2)]).is_err());
        assert!(check_size(&path("/kv"), &vec![set(0); 1 << 14]).is_err(), "steps without data need room too");
    }

    #[test]
    fn the_root_stays_and_is_there() {
        let delete = |at| Change::Delete { path: path(at), expected: None };
        let create = |at, mode| Change::Create { path: path(at), data: Vec::new().into(), mode };
        assert_eq!(impossible(&delete("/")), Some(Refusal::RootStays));
        assert_eq!(impossible(&delete("/a")), None);
        assert_eq!(impossible(&create("/", CreateMode::Ephemeral)), Some(Refusal::NodeExists { path: Path::root() }));
        assert_eq!(impossible(&create("/a", CreateMode::PersistentSequential)), None);
        let long = format!("/{}", "x".repeat(Path::BYTES_MAX - 1));
        assert_eq!(impossible(&create(&long, CreateMode::Persistent)), None);
        assert!(matches!(
            impossible(&create(&long, CreateMode::PersistentSequential)),
            Some(Refusal::TooMuch { limit: Limit::PathBytes, .. })
        ));
    }
}
