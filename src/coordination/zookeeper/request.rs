//! Single requests, and what their failures say.
//!
//! What matters of a failure is whether the request may have been carried out. The client library does not send a request
//! twice; it fails what is under way when a connection ends, and what waits for a connection when it gives the session up.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::link::Link;
use super::{convert, zk};
use crate::coordination::api::Error;
use crate::coordination::tree::{Change, Outcome, Path, Revision};

/// Between two attempts of the same read.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A request that is under way on a client.
pub(super) type Asked<'c, T> = Pin<Box<dyn Future<Output = Result<T, zk::Error>> + Send + 'c>>;

/// What a failure says of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// The tree is such that it cannot be.
    Refused,
    /// It was not carried out, because the library takes the session for ended.
    Unsent,
    /// The service did not carry it out, for a reason that is not in the tree.
    Declined,
    /// It was sent, and nobody knows.
    Unknown,
}

impl Fate {
    fn of(error: &zk::Error) -> Fate {
        match error {
            zk::Error::NoNode
            | zk::Error::NodeExists
            | zk::Error::BadVersion
            | zk::Error::NotEmpty
            | zk::Error::NoChildrenForEphemerals => Fate::Refused,
            zk::Error::SessionExpired | zk::Error::ClientClosed | zk::Error::AuthFailed => Fate::Unsent,
            zk::Error::NoAuth
            | zk::Error::InvalidAcl
            | zk::Error::BadArguments(_)
            | zk::Error::NotReadOnly
            | zk::Error::QuotaExceeded
            | zk::Error::Throttled
            | zk::Error::MarshallingError
            | zk::Error::Unimplemented => Fate::Declined,
            _ => Fate::Unknown,
        }
    }
}

/// Asks until there is an answer, on one connection after the other; for requests that may be made twice.
///
/// # Errors
/// Within, that of a service which looked and refused; else why there is no answer.
pub(super) async fn ask<T>(
    link: &Link,
    request: impl for<'c> Fn(&'c zk::Client) -> Asked<'c, T>,
) -> Result<Result<T, zk::Error>, Error> {
    let deadline = tokio::time::Instant::now() + link.patience();
    loop {
        let client = link.client().await?;
        let error = match request(&client).await {
            Ok(answer) => return Ok(Ok(answer)),
            Err(error) => error,
        };
        match Fate::of(&error) {
            Fate::Refused => return Ok(Err(error)),
            Fate::Unsent => {}
            Fate::Unknown if tokio::time::Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
            Fate::Declined | Fate::Unknown => return Err(link.ensemble.unreachable(&error)),
        }
    }
}

/// A write that changes nothing: when it is answered, a majority has committed it, and the server that the client is
/// connected to has applied everything before it.
pub(super) async fn commit_nothing(client: &zk::Client) -> Result<(), zk::Error> {
    let mut writer = client.new_multi_writer();
    writer.add_check_version("/", -1)?;
    match writer.commit().await {
        // One that fails is committed like one that does not.
        Ok(_) | Err(zk::MultiWriteError::OperationFailed { source: zk::Error::NoNode, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes all changes or none; answers what came of each, and the newest revision that this tells of.
pub(super) async fn write(link: &Link, changes: &[Change]) -> Result<(Vec<Outcome>, Revision), Error> {
    loop {
        let client = link.client().await?;
        convert::check_size(&link.ensemble.root, changes)?;
        let (index, error) = match changes {
            [change] if convert::impossible(change).is_none() && !matches!(change, Change::Check { .. }) => {
                match change_one(&client, change).await {
                    Ok(made) => return Ok(made),
                    Err(error) => (Some(0), error),
                }
            }
            _ => match change_all(&client, changes).await {
                Ok(made) => return Ok(made),
                Err(zk::MultiWriteError::OperationFailed { index, source }) => (Some(index), source),
                Err(zk::MultiWriteError::RequestFailed { source }) => (None, source),
            },
        };
        match Fate::of(&error) {
            Fate::Refused => {
                let refused = index.and_then(|index| changes.get(index));
                let refusal =
                    refused.and_then(|change| convert::impossible(change).or_else(|| convert::refusal(change, &error)));
                return Err(refusal.map_or_else(|| link.ensemble.unreachable(&error), Error::Refused));
            }
            Fate::Unsent => {}
            Fate::Declined => return Err(link.ensemble.unreachable(&error)),
            Fate::Unknown => return Err(Error::OutcomeUnknown { cause: link.ensemble.cause(&error) }),
        }
    }
}

async fn change_one(client: &zk::Client, change: &Change) -> Result<(Vec<Outcome>, Revision), zk::Error> {
    let (outcome, revision) = match change {
        Change::Create { path, data, mode } => {
            let (stat, sequence) = client.create(path.as_str(), data, &convert::create_options(*mode)).await?;
            let path = if mode.is_sequential() { named(&format!("{path}{sequence}"))? } else { path.clone() };
            (Outcome::Created { path, stat: convert::stat(&stat) }, convert::newest(&stat))
        }
        Change::Set { path, data, expected } => {
            let stat = client.set_data(path.as_str(), data, convert::expected(*expected)).await?;
            (Outcome::Set(convert::stat(&stat)), convert::newest(&stat))
        }
        Change::Delete { path, expected } => {
            client.delete(path.as_str(), convert::expected(*expected)).await?;
            (Outcome::Deleted, Revision::default())
        }
        Change::Check { .. } => return Err(zk::Error::Unimplemented),
    };
    Ok((vec![outcome], revision))
}

async fn change_all(client: &zk::Client, changes: &[Change]) -> Result<(Vec<Outcome>, Revision), zk::MultiWriteError> {
    let mut writer = client.new_multi_writer();
    for change in changes {
        if convert::impossible(change).is_some() {
            // Fails in its place, so that the refusal of a change before it comes first.
            writer.add_check_version("/", convert::NO_VERSION)?;
            continue;
        }
        match change {
            Change::Create { path, data, mode } => {
                writer.add_create(path.as_str(), data, &convert::create_options(*mode))?;
            }
            Change::Set { path, data, expected } => {
                writer.add_set_data(path.as_str(), data, convert::expected(*expected))?;
            }
            Change::Delete { path, expected } => writer.add_delete(path.as_str(), convert::expected(*expected))?,
            Change::Check { path, expected } => {
                writer.add_check_version(path.as_str(), convert::expected(*expected).unwrap_or(-1))?;
            }
        }
    }
    let results = writer.commit().await?;
    let written = revision_of(client, &results).await;
    let mut outcomes = Vec::with_capacity(changes.len());
    for (change, result) in changes.iter().zip(results) {
        outcomes.push(match (change, result) {
            (Change::Create { data, mode, .. }, zk::MultiWriteResult::Create { path, .. }) => {
                let owner = mode.is_ephemeral().then(|| convert::session_id(client.session_id()));
                Outcome::Created { path: named(&path)?, stat: convert::new_node(data, owner, written) }
            }
            (_, zk::MultiWriteResult::SetData { stat }) => Outcome::Set(convert::stat(&stat)),
            (_, zk::MultiWriteResult::Delete) => Outcome::Deleted,
            (_, zk::MultiWriteResult::Check) => Outcome::Checked,
            (_, other) => return Err(zk::Error::UnexpectedError(format!("a strange result: {other:?}")).into()),
        });
    }
    Ok((outcomes, written))
}

/// The revision of a write of several steps. Older servers, 3.8.0 among them, tell it only of nodes that were set (ZOOKEEPER-4026); it is read
/// off a node that was made, unless somebody has deleted all of them since: then it stays unknown, 0.
async fn revision_of(client: &zk::Client, results: &[zk::MultiWriteResult]) -> Revision {
    for result in results {
        if let zk::MultiWriteResult::Create { stat, .. } | zk::MultiWriteResult::SetData { stat } = result
            && !stat.is_invalid()
        {
            return convert::revision(stat.mzxid);
        }
    }
    for result in results {
        if let zk::MultiWriteResult::Create { path, .. } = result
            && let Ok(Some(stat)) = client.check_stat(path).await
        {
            return convert::revision(stat.czxid);
        }
    }
    Revision::default()
}

/// The path of a node that ZooKeeper has named.
fn named(path: &str) -> Result<Path, zk::Error> {
    path.parse().map_err(|error| zk::Error::UnexpectedError(format!("a node was made whose path is none: {error}")))
}
