//! The member's side: answering a newcomer that asks to join, and serving the links of members.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Reception, register};
use crate::coordination::nookeeper::types::RaftId;
use crate::wire::frame::{self, FrameReader, GREETING};
use crate::wire::handshake::Keeper;
use crate::wire::join::{Admission, Join, Joined};
use crate::wire::net::{Detached, Stream};

/// A newcomer that was told who is here asks at once, or only wanted to know.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the session in which a newcomer is registered, should it not be closed.
const SESSION_TIMEOUT: Duration = Duration::from_secs(5);

impl Reception {
    /// Serves a coordination link to its end, or passes it on to where the service runs.
    pub async fn serve(&self, from: Keeper, stream: Detached, wall_ms: u64) -> io::Result<()> {
        match self.nookeeper.get() {
            // Whoever has no cluster has one question.
            _ if from.cluster.is_none() => self.answer(stream.attach()?, wall_ms).await,
            Some(nookeeper) => {
                nookeeper.serve(from, stream);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Answers one question of a store that belongs to no cluster.
    async fn answer(&self, stream: Stream, wall_ms: u64) -> io::Result<()> {
        let mut reader = FrameReader::new(stream, GREETING);
        let Ok(question) = timeout(PATIENCE, reader.read_one::<Join>()).await else { return Ok(()) };
        let Some(join) = question? else { return Ok(()) };
        let mut answer = BytesMut::new();
        frame::encode(&self.admit(&join, wall_ms).await, GREETING.frame_bytes_max, &mut answer);
        timeout(PATIENCE, reader.get_mut().write_all(&answer)).await?
    }

    async fn admit(&self, join: &Join, wall_ms: u64) -> Joined {
        if let Some(admission) = self.fellow(join) {
            return Joined::Admitted(admission);
        }
        let Some(service) = self.service.get() else { return Joined::NotYet { reason: self.waits_for() } };
        let session = match service.open(SESSION_TIMEOUT).await {
            Ok(session) => session,
            Err(error) => return Joined::NotYet { reason: error.to_string() },
        };
        let registered = register(&*session, join, wall_ms).await;
        // It ends by itself as well.
        let _ = session.close().await;
        match registered {
            Ok(admission) => Joined::Admitted(admission),
            Err(error) if error.retryable() => Joined::NotYet { reason: error.to_string() },
            Err(error) => Joined::Refused { reason: error.to_string() },
        }
    }

    /// A store that the replicated service was made with takes part under its own id, whether it knows already or not. Without
    /// it there may be no majority that could say so.
    fn fellow(&self, join: &Join) -> Option<Admission> {
        let me = self.me();
        let (cluster, name) = (me.cluster?, self.name()?.to_string());
        let store = join.start.store;
        let status = self.nookeeper.get()?.status();
        let id = RaftId { generation: me.generation, store };
        let endpoint = status.voters.get(&id).or_else(|| status.learners.get(&id))?;
        Some(Admission { cluster, name, node: endpoint.node(), store, generation: me.generation })
    }
}
