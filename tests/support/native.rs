//! One connection to one node: a client that chooses its coordinator, and may misbehave.

use bytes::{Bytes, BytesMut};
use kv::client::BlindWrite;
use kv::core::bucket::QuorumSize;
use kv::core::key::Key;
use kv::core::request::{Answer, Failure, Operation, Options, Request};
use kv::wire::frame::{self, FrameLimits, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Role, Welcome};
use kv::wire::message::{ToClient, ToNode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What a read found: the values, and the context for the write that follows.
pub type Found = (Vec<Bytes>, Option<Bytes>);

/// A connection that was welcomed.
pub struct Native {
    reader: FrameReader<TcpStream>,
    last: u64,
}

/// The greeting of an application.
pub fn hello() -> Hello {
    Hello::new(None, Role::Client { name: "test".into() })
}

/// A message in its frame.
pub fn framed<T: serde::Serialize>(message: &T) -> BytesMut {
    let mut frame = BytesMut::new();
    frame::encode(message, u32::MAX >> 1, &mut frame);
    frame
}

/// Greets as `hello` says and takes the answer.
pub async fn greet(address: &str, hello: &Hello) -> (Welcome, FrameReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&framed(hello)).await.unwrap();
    let mut reader = FrameReader::new(stream, GREETING);
    let welcome = reader.read_one().await.unwrap().expect("an answer to the greeting");
    (welcome, reader)
}

impl Native {
    /// Connects as an application.
    pub async fn connect(address: &str) -> Native {
        let (welcome, mut reader) = greet(address, &hello()).await;
        assert!(matches!(welcome, Welcome::Accepted { .. }), "{welcome:?}");
        reader.set_limits(FrameLimits::default());
        Native { reader, last: 0 }
    }

    /// The socket, to misbehave on.
    pub fn socket(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    /// Asks and waits for the answer.
    pub async fn call(&mut self, operation: Operation, options: Options) -> Result<Answer, Failure> {
        self.last += 1;
        let request = Request { operation, options };
        let call = framed(&vec![ToNode::Call { id: self.last, epoch: None, request }]);
        self.socket().write_all(&call).await.unwrap();
        loop {
            let messages: Vec<ToClient> = self.reader.read_one().await.unwrap().expect("an answer");
            for message in messages {
                if let ToClient::Answer { id, result, .. } = message
                    && id == self.last
                {
                    return result;
                }
            }
        }
    }

    /// Reads a bare key with this r.
    pub async fn get(&mut self, key: &str, r: u8) -> Result<Found, Failure> {
        let options = Options { r: Some(QuorumSize::Count(r)), ..Options::default() };
        match self.call(Operation::Get { key: Key::bare(key.to_string()) }, options).await? {
            Answer::Read { values, context, .. } => {
                Ok((values.into_iter().map(|value| value.bytes).collect(), context))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Writes a bare key with this w; how many siblings it has then.
    pub async fn put(&mut self, key: &str, value: &str, context: Option<Bytes>, w: u8) -> Result<u32, Failure> {
        let operation = Operation::Put {
            key: Key::bare(key.to_string()),
            value: Bytes::copy_from_slice(value.as_bytes()),
            context,
            ttl_ms: None,
            blind: Some(BlindWrite::Sibling),
        };
        let options = Options { w: Some(QuorumSize::Count(w)), ..Options::default() };
        match self.call(operation, options).await? {
            Answer::Written { siblings, .. } => Ok(siblings),
            other => panic!("{other:?}"),
        }
    }
}
