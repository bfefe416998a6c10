//! A node that is only its wire: it keeps keys in a set and answers as told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use kv::core::id::{Epoch, NodeId, StoreId};
use kv::core::key::Key;
use kv::core::request::{Answer, Failure, Operation, Value};
use kv::core::ring::{Member, Ring};
use kv::wire::frame::{self, FrameLimits, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Welcome};
use kv::wire::message::{ToClient, ToNode};
use kv::wire::report::{Inspect, Inspection, RingReport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// How it behaves.
#[derive(Clone, Copy, Default)]
pub struct FakeNode {
    /// Every so many calls one is answered with *overloaded*.
    pub refuse_every: Option<u64>,
    /// After so many calls all connections are closed at their next call.
    pub hang_up_after: Option<u64>,
}

#[derive(Default)]
struct State {
    keys: BTreeSet<Key>,
    calls: u64,
}

impl FakeNode {
    /// Starts it as the only member of its ring; gives back its address.
    pub async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let member =
            Member { store: StoreId(1), node: NodeId(1), address: address.clone(), zone: String::new(), weight: 1 };
        let ring = Ring::new(Epoch::default(), 16, 3, vec![member]).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.serve(stream, ring.clone(), state.clone()));
            }
        });
        address
    }

    async fn serve(self, stream: TcpStream, ring: Ring, state: Arc<Mutex<State>>) {
        let (read, mut write) = stream.into_split();
        let (mut reader, mut out) = (FrameReader::new(read, GREETING), BytesMut::new());
        let hello: Hello = reader.read_one().await.unwrap().unwrap();
        let welcome = Welcome::Accepted {
            version: hello.agree("fake").unwrap(),
            cluster: "fake".into(),
            node: NodeId(1),
            store: StoreId(1),
            frame_bytes_max: 1 << 20,
            in_flight_max: 100,
        };
        frame::encode(&welcome, GREETING.frame_bytes_max, &mut out);
        write.write_all_buf(&mut out).await.unwrap();
        reader.set_limits(FrameLimits::default());
        let mut frames = Vec::new();
        while let Ok(true) = reader.read(&mut frames).await {
            for frame in frames.drain(..) {
                let batch: Vec<ToNode> = frame::decode(&frame).unwrap();
                let Some(answers) = batch.into_iter().map(|m| self.answer(m, &ring, &state)).collect() else { return };
                frame::encode::<Vec<ToClient>>(&answers, 1 << 20, &mut out);
            }
            if write.write_all_buf(&mut out).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, message: ToNode, ring: &Ring, state: &Mutex<State>) -> Option<ToClient> {
        match message {
            ToNode::Call { id, request, .. } => {
                let mut state = state.lock().unwrap();
                state.calls += 1;
                if self.hang_up_after.is_some_and(|after| state.calls > after) {
                    return None;
                }
                let refused = self.refuse_every.is_some_and(|every| state.calls.is_multiple_of(every));
                let result = if refused {
                    Err(Failure::Overloaded { limit: "limits.test".into(), retry_after_ms: 1 })
                } else {
                    Ok(state.apply(request.operation))
                };
                Some(ToClient::Answer { id, epoch: ring.epoch, result })
            }
            ToNode::Inspect { id, what: Inspect::Ring } => {
                let report = RingReport { cluster: "fake".into(), ring: ring.clone(), buckets: vec![] };
                Some(ToClient::Shown { id, result: Ok(Box::new(Inspection::Ring(report))) })
            }
            ToNode::Inspect { id, .. } => {
                Some(ToClient::Shown { id, result: Err(Failure::Invalid("only the ring".into())) })
            }
            ToNode::Tree { .. } | ToNode::List { .. } => None,
            ToNode::Ping(id) => Some(ToClient::Pong(id)),
        }
    }
}

impl State {
    fn apply(&mut self, operation: Operation) -> Answer {
        match operation {
            Operation::Put { key, .. } => {
                self.keys.insert(key);
                Answer::Written { context: Bytes::new(), siblings: 1, replicas: vec![NodeId(1)] }
            }
            Operation::Get { key } | Operation::Delete { key, .. } => {
                let value = Value { bytes: Bytes::from_static(b"v"), written_ms: 0, expires_ms: None };
                let values = self.keys.contains(&key).then_some(value).into_iter().collect();
                Answer::Read { values, context: None, replicas: vec![NodeId(1)] }
            }
        }
    }
}
