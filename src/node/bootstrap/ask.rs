//! The newcomer's side: who is there, and may I join?

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::wire::dial::{DialError, dial};
use crate::wire::frame::{self, FrameReader, GREETING};
use crate::wire::handshake::{Hello, Keeper, Role, Welcome};
use crate::wire::join::{Join, Joined};
use crate::wire::net::Stream;

/// What a newcomer says of itself, and how long it waits for an answer.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The cluster's name that its configuration says, if it does.
    pub cluster: Option<String>,
    /// Itself.
    pub keeper: Keeper,
    /// For dialling and greeting together, and again for an answer.
    pub patience: Duration,
}

impl Newcomer {
    /// Who is at an address.
    pub async fn probe(&self, address: &str) -> Result<Keeper, DialError> {
        self.greet(address).await.map(|(keeper, _)| keeper)
    }

    /// Asks whoever is at an address to let it join.
    pub async fn ask(&self, address: &str, join: &Join) -> Result<Joined, DialError> {
        let (keeper, mut stream) = self.greet(address).await?;
        if keeper.cluster.is_none() {
            return Ok(Joined::NotYet { reason: format!("{address} belongs to no cluster yet") });
        }
        let mut question = BytesMut::new();
        frame::encode(join, GREETING.frame_bytes_max, &mut question);
        let exchange = async {
            stream.write_all(&question).await?;
            FrameReader::new(stream, GREETING).read_one().await
        };
        match timeout(self.patience, exchange).await {
            Ok(answer) => answer?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Err(_) => Err(DialError::Silent(self.patience)),
        }
    }

    async fn greet(&self, address: &str) -> Result<(Keeper, Stream), DialError> {
        let hello = Hello::new(self.cluster.clone(), Role::Keeper(self.keeper.clone()));
        match dial(address, &hello, self.patience).await? {
            (Welcome::Keeper { keeper, .. }, stream) => Ok((keeper, stream)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it answers as to an application").into()),
        }
    }
}
