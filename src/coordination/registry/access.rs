//! Reading and writing records.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::coordination::api::{self, Session};
use crate::coordination::tree::{Change, CreateMode, Path, Refusal, Revision, Stat};

use super::error::Error;

/// How often a change is tried anew because somebody else was quicker. Each time somebody succeeded.
const ATTEMPTS_MAX: usize = 256;

/// A record, and the node of the tree that holds it.
pub(super) struct Record<T> {
    pub value: T,
    pub stat: Stat,
    pub revision: Revision,
}

pub(super) fn encode<T: Serialize>(path: &Path, value: &T) -> Result<Bytes, Error> {
    match serde_json::to_vec(value) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(Error::Malformed { path: path.clone(), detail: error.to_string() }),
    }
}

pub(super) fn decode<T: DeserializeOwned>(path: &Path, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| Error::Malformed { path: path.clone(), detail: error.to_string() })
}

/// Reads a record; `None` if its node is not there.
pub(super) async fn read<T: DeserializeOwned>(session: &dyn Session, path: &Path) -> Result<Option<Record<T>>, Error> {
    match session.get(path).await {
        Ok(api::Read { value, revision }) => {
            let record = decode(path, &value.data)?;
            Ok(Some(Record { value: record, stat: value.stat, revision }))
        }
        Err(api::Error::Refused(Refusal::NoNode { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names below a node; none if it is not there.
pub(super) async fn names(session: &dyn Session, path: &Path) -> Result<Vec<String>, Error> {
    match session.children(path).await {
        Ok(listing) => Ok(listing.value.names),
        Err(api::Error::Refused(Refusal::NoNode { .. })) => Ok(vec![]),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn create<T: Serialize>(path: Path, value: &T, mode: CreateMode) -> Result<Change, Error> {
    let data = encode(&path, value)?;
    Ok(Change::Create { path, data, mode })
}

pub(super) fn set<T: Serialize>(path: Path, value: &T, expected: &Stat) -> Result<Change, Error> {
    let data = encode(&path, value)?;
    Ok(Change::Set { path, data, expected: Some(expected.version) })
}

/// What came of a write that was made under conditions.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// It happened.
    Yes,
    /// Somebody was quicker, or it cannot be told whether it happened: read again. What is read sees it if it did, or it fails
    /// on its conditions when it comes late.
    ReadAgain,
}

/// Makes all changes or none.
pub(super) async fn write(session: &dyn Session, changes: Vec<Change>) -> Result<Written, Error> {
    match session.multi(changes).await {
        Ok(_) => Ok(Written::Yes),
        Err(api::Error::Refused(
            Refusal::BadVersion { .. } | Refusal::NodeExists { .. } | Refusal::NoNode { .. } | Refusal::NotEmpty { .. },
        )) => Ok(Written::ReadAgain),
        Err(api::Error::OutcomeUnknown { cause }) => {
            log::debug!("a write of the registry is looked for: {cause}");
            // Whatever keeps it from being looked for, it may have happened.
            session.sync().await.map_err(|_| api::Error::OutcomeUnknown { cause })?;
            Ok(Written::ReadAgain)
        }
        Err(error) => Err(error.into()),
    }
}

/// The attempts at a change of `path`.
pub(super) struct Attempts<'a> {
    path: &'a str,
    left: usize,
}

impl Attempts<'_> {
    pub fn at(path: &str) -> Attempts<'_> {
        Attempts { path, left: ATTEMPTS_MAX }
    }

    /// Counts another one.
    pub fn another(&mut self) -> Result<(), Error> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return Err(Error::Contended { path: super::paths::path(self.path)? }),
        }
        Ok(())
    }
}
