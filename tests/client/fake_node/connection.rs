//! A fake node's side of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv::core::id::StoreId;
use kv::wire::frame::{self, FrameLimits, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Welcome};
use kv::wire::message::{ToClient, ToNode};
use kv::wire::net::{Listener, Stream};
use kv::wire::tree::TreeFailure;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{CLUSTER, Reaction, State};

/// Serves every connection until the node is stopped.
pub(super) async fn accept(listener: Listener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(stream, state.clone()));
    }
}

async fn serve(stream: Stream, state: Arc<State>) {
    let (read, mut write) = tokio::io::split(stream);
    let mut reader = FrameReader::new(read, GREETING);
    let Ok(Some(hello)) = reader.read_one::<Hello>().await else { return };
    if state.mute.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    let welcome = match hello.agree(CLUSTER) {
        Err(refusal) => Welcome::Refused(refusal),
        Ok(version) => Welcome::Accepted {
            version,
            cluster: CLUSTER.into(),
            node: state.id,
            store: StoreId(state.id.0.into()),
            frame_bytes_max: FrameLimits::default().frame_bytes_max,
            in_flight_max: state.in_flight_max.load(Ordering::SeqCst),
        },
    };
    let mut out = BytesMut::new();
    frame::encode(&welcome, GREETING.frame_bytes_max, &mut out);
    if write.write_all(&out).await.is_err() || matches!(welcome, Welcome::Refused(_)) {
        return;
    }
    reader.set_limits(FrameLimits::default());
    let (answers, mut to_write) = mpsc::unbounded_channel::<ToClient>();
    #[cfg(feature = "server")]
    let visit = Visited(state.keeper.lock().unwrap().visit());
    let mut goodbye = state.goodbye.subscribe();
    let mut frames: Vec<Bytes> = Vec::new();
    loop {
        tokio::select! {
            biased;
            answer = to_write.recv() => {
                let mut batch: Vec<ToClient> = answer.into_iter().collect();
                while let Ok(answer) = to_write.try_recv() {
                    batch.push(answer);
                }
                out.clear();
                frame::encode(&batch, FrameLimits::default().frame_bytes_max, &mut out);
                if write.write_all(&out).await.is_err() {
                    return;
                }
            }
            read = reader.read(&mut frames) => match read {
                Ok(true) => for frame in std::mem::take(&mut frames) {
                    state.frames.fetch_add(1, Ordering::SeqCst);
                    for message in frame::decode::<Vec<ToNode>>(&frame).expect("a batch of messages") {
                        #[cfg(feature = "server")]
                        if let ToNode::Tree { id, timeout_ms, request } = message {
                            super::tree::ask(&visit.0, id, timeout_ms, request, answers.clone());
                            continue;
                        }
                        match state.handle(message) {
                            Handled::Say(answer) => drop(answers.send(answer)),
                            Handled::SayLater(pause, answer) => {
                                let answers = answers.clone();
                                tokio::spawn(async move {
                                    tokio::time::sleep(pause).await;
                                    answers.send(answer)
                                });
                            }
                            Handled::Nothing => {}
                            Handled::Close => return,
                            Handled::Silence => return std::future::pending().await,
                        }
                    }
                },
                _ => return,
            },
            Ok(()) = goodbye.changed() => {
                let reason = goodbye.borrow_and_update().clone();
                let _ = answers.send(ToClient::Goodbye(reason));
            }
        }
    }
}

/// Ends when the connection does, in whichever way.
#[cfg(feature = "server")]
struct Visited(Arc<kv::node::clerk::Visit>);

#[cfg(feature = "server")]
impl Drop for Visited {
    fn drop(&mut self) {
        let visit = self.0.clone();
        tokio::spawn(async move { visit.leave().await });
    }
}

enum Handled {
    Say(ToClient),
    SayLater(Duration, ToClient),
    Nothing,
    Close,
    Silence,
}

impl State {
    fn handle(&self, message: ToNode) -> Handled {
        match message {
            ToNode::Ping(id) => Handled::Say(ToClient::Pong(id)),
            ToNode::Tree { id, .. } => {
                let reason = "fake nodes have a tree with feature server alone".into();
                Handled::Say(ToClient::Tree { id, result: Err(TreeFailure::NotConnected { node: self.id, reason }) })
            }
            ToNode::List { id, request, .. } => {
                let epoch = self.ring.lock().unwrap().ring.epoch;
                Handled::Say(ToClient::Listed { id, epoch, result: Ok(self.memory.lock().unwrap().list(request)) })
            }
            ToNode::Inspect { id, what } => {
                let result = Ok(Box::new(self.inspect(what)));
                Handled::Say(ToClient::Shown { id, result })
            }
            ToNode::Call { id, request, .. } => {
                self.requests.lock().unwrap().push(request.clone());
                let reaction = (self.react.lock().unwrap())(&request);
                let usual = || Ok(self.memory.lock().unwrap().apply(&request.operation, self.id));
                let (pause, result) = match reaction {
                    Reaction::Answer(result) => (None, result),
                    Reaction::Usual => (None, usual()),
                    Reaction::Later(pause) => (Some(pause), usual()),
                    Reaction::Close => return Handled::Close,
                    Reaction::Hang => return Handled::Nothing,
                    Reaction::Silence => return Handled::Silence,
                };
                let epoch = self.ring.lock().unwrap().ring.epoch;
                let answer = ToClient::Answer { id, epoch, result };
                match pause {
                    None => Handled::Say(answer),
                    Some(pause) => Handled::SayLater(pause, answer),
                }
            }
        }
    }
}
