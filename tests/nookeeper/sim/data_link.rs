//! Links for data, without data: each node keeps one to each other node, and the door knows who is there by them.
//!
//! A second host on a copy of a store shows itself beside the links of the original (`bootstrap::Callers`). The greeting is
//! short, the judgement and the waiting are those of a node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kv::config::Config;
use kv::core::id::{ClusterId, Start};
use kv::node::bootstrap::Reception;
use kv::wire::frame::{self, FrameReader, GREETING};
use kv::wire::net::{self, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Where data links lead.
pub const PORT: u16 = 9001;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Welcomes links of other nodes.
pub async fn accept(listener: Listener, reception: Arc<Reception>, config: Arc<Config>) {
    // A caller that was silent for so long has given the link up.
    let silence = Duration::from_millis(config.node.timing.peer_timeout_ms * 3);
    while let Ok((stream, from)) = listener.accept().await {
        let reception = reception.clone();
        tokio::spawn(async move {
            let mut reader = FrameReader::new(stream, GREETING);
            let greeting = timeout(silence, reader.read_one::<(ClusterId, Start)>()).await;
            let Ok(Ok(Some((cluster, start)))) = greeting else { return };
            if reception.judge_peer(cluster, start).is_err() {
                return;
            }
            let Ok(_present) = reception.enter(start, &from.to_string()) else { return };
            let Ok(mut stream) = reader.into_inner() else { return };
            while matches!(timeout(silence, stream.read_u8()).await, Ok(Ok(_))) {}
        });
    }
}

/// Keeps a link to the node at an address.
pub async fn keep(address: String, reception: Arc<Reception>, config: Arc<Config>) {
    loop {
        // Why it ended makes no difference to the next attempt.
        let _ = carry(&address, &reception, &config).await;
        sleep(PAUSE).await;
    }
}

async fn carry(address: &str, reception: &Reception, config: &Config) -> io::Result<()> {
    let timing = &config.node.timing;
    let me = reception.me();
    let connected = timeout(Duration::from_millis(timing.connect_timeout_ms), net::connect(address));
    let mut stream = connected.await.map_err(|_| io::ErrorKind::TimedOut)??;
    let mut greeting = BytesMut::new();
    frame::encode(&(me.cluster.unwrap_or_default(), me.start), GREETING.frame_bytes_max, &mut greeting);
    stream.write_all(&greeting).await?;
    loop {
        stream.write_u8(0).await?;
        sleep(Duration::from_millis(timing.ping_interval_ms)).await;
    }
}
