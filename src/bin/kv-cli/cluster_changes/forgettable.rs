//! Which store is to be forgotten.

use std::str::FromStr;

use kv::client::Client;
use kv::coordination::registry::{LIVE, Live, STORES, StoreRecord, StoreState};
use kv::core::id::{NodeId, StoreId};
use kv::wire::tree::{TreeAnswer, TreeRequest};
use serde::de::DeserializeOwned;

use super::ask::strange;
use crate::exit::CliError;

/// Hexadecimal digits by which a store is named, at least: so many are shown wherever stores are listed.
const STORE_DIGITS: usize = 8;

/// What the operator named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// A node, whose lost store is meant.
    Node(NodeId),
    /// The first digits of a store.
    Store(String),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        let is_store = (STORE_DIGITS..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
        match text.parse() {
            _ if is_store => Ok(Named::Store(text.to_ascii_lowercase())),
            Ok(node) => Ok(Named::Node(NodeId(node))),
            Err(_) => Err(format!("give the number of a node, or {STORE_DIGITS} to 32 hexadecimal digits of a store")),
        }
    }
}

/// A store that the cluster knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Which.
    pub store: StoreId,
    /// Whose it is or was.
    pub node: NodeId,
    /// What has become of it.
    pub state: StoreState,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whether its node serves it now.
    pub is_live: bool,
}

impl Known {
    /// What has become of it, in words.
    pub fn fate(&self) -> &'static str {
        match self.state {
            StoreState::Reserved => "has not come yet",
            StoreState::Member if self.is_live => "is alive",
            StoreState::Member => "is a member and down",
            StoreState::Replaced => "was replaced by another one of its node",
            StoreState::Left => "has left",
            StoreState::Removed => "was removed",
            StoreState::Forgotten => "is forgotten already",
        }
    }
}

/// All stores that ever were.
pub async fn known(client: &Client) -> Result<Vec<Known>, CliError> {
    let mut live = vec![];
    for name in names(client, LIVE).await? {
        live.extend(read::<Live>(client, LIVE, &name).await?.map(|live| live.store));
    }
    let mut known = vec![];
    for name in names(client, STORES).await? {
        let (Ok(store), Some(record)) = (name.parse(), read::<StoreRecord>(client, STORES, &name).await?) else {
            continue;
        };
        let StoreRecord { node, state, since_ms, .. } = record;
        known.push(Known { store, node, state, since_ms, is_live: live.contains(&store) });
    }
    Ok(known)
}

async fn names(client: &Client, path: &str) -> Result<Vec<String>, CliError> {
    match client.tree(TreeRequest::List { path: path.into(), recursive: false, sync: true }).await? {
        TreeAnswer::Listing { names, .. } => Ok(names),
        _ => Err(strange()),
    }
}

/// A record; `None` if it has vanished, or is not what it should be.
async fn read<T: DeserializeOwned>(client: &Client, folder: &str, name: &str) -> Result<Option<T>, CliError> {
    match client.tree(TreeRequest::Get { path: format!("{folder}/{name}"), sync: false }).await {
        Ok(TreeAnswer::Node(node)) => Ok(serde_json::from_slice(&node.data).ok()),
        Ok(_) => Err(strange()),
        Err(kv::client::ClientError::Tree(kv::wire::tree::TreeFailure::NoNode { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The one store that is meant.
///
/// # Errors
/// In words, if there is none, or more than one.
pub fn pick<'a>(known: &'a [Known], named: &Named) -> Result<&'a Known, String> {
    let (mut meant, what): (Vec<&Known>, String) = match named {
        Named::Store(digits) => {
            let starts = |known: &&Known| known.store.to_string().starts_with(digits.as_str());
            (known.iter().filter(starts).collect(), format!("store {digits}"))
        }
        Named::Node(node) => {
            let lost = |known: &&Known| known.node == *node && !known.is_live && known.state != StoreState::Forgotten;
            (known.iter().filter(lost).collect(), format!("store of node {node} that is not alive"))
        }
    };
    meant.sort_by_key(|known| known.store);
    match &meant[..] {
        [] => Err(format!("there is no {what}")),
        [one] => Ok(one),
        several => {
            let several: Vec<String> =
                several.iter().map(|known| format!("{} ({})", known.store, known.fate())).collect();
            Err(format!("there is more than one {what}; name one: {}", several.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(number: u128, node: u32, state: StoreState, is_live: bool) -> Known {
        Known { store: StoreId(number << 96), node: NodeId(node), state, since_ms: 0, is_live }
    }

    #[test]
    fn a_number_is_a_node_and_many_digits_are_a_store() {
        assert_eq!("3".parse(), Ok(Named::Node(NodeId(3))));
        assert_eq!("1234567".parse(), Ok(Named::Node(NodeId(1_234_567))));
        assert_eq!("12345678".parse(), Ok(Named::Store("12345678".into())));
        assert_eq!("21DE1251".parse(), Ok(Named::Store("21de1251".into())));
        for wrong in ["", "21de", "x", "-1", "21de12510000000000000000000000000"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_store_that_is_lost_is_meant() {
        let known = [
            store(1, 3, StoreState::Replaced, false),
            store(2, 3, StoreState::Member, true),
            store(3, 4, StoreState::Removed, false),
            store(4, 4, StoreState::Left, false),
            store(5, 5, StoreState::Forgotten, false),
        ];
        let node = |node| pick(&known, &Named::Node(NodeId(node)));
        assert_eq!(node(3), Ok(&known[0]));
        let several = node(4).unwrap_err();
        assert!(several.contains("(was removed)") && several.contains("(has left)"), "{several}");
        assert!(node(5).is_err() && node(9).is_err());
        assert_eq!(pick(&known, &Named::Store("00000002".into())), Ok(&known[1]));
        assert!(pick(&known, &Named::Store("0000000".into())).is_err());
    }
}
