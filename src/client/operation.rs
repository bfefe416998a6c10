//! Operations with their options.
//!
//! [`Get`], [`Put`] and [`Delete`] describe one operation. Bound to a client ([`Client::get`] and its like) they are awaited;
//! free (made by `new`) they are items for [`Client::multi_get`] and [`Client::multi_put`].

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::answer::FromAnswer;
use super::{Client, ClientError, Context, Read, Written, dispatch};
use crate::core::bucket::{BlindWrite, QuorumSize};
use crate::core::key::{DEFAULT_BUCKET, Key};
use crate::core::request::{Operation, Options, Request};

/// A future of a bound operation.
pub type Answering<'c, T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send + 'c>>;

/// What all operations have: a key, and how sure to be.
#[derive(Clone, Debug)]
struct Common {
    bucket: Bytes,
    name: Bytes,
    options: Options,
    timeout: Option<Duration>,
}

impl Common {
    fn new(key: impl AsRef<[u8]>) -> Common {
        Common {
            bucket: Bytes::from_static(DEFAULT_BUCKET.as_bytes()),
            name: Bytes::copy_from_slice(key.as_ref()),
            options: Options::default(),
            timeout: None,
        }
    }

    fn key(&self) -> Key {
        Key::new(self.bucket.clone(), self.name.clone())
    }
}

/// Options that reads and writes share.
macro_rules! common_options {
    () => {
        /// The key's bucket; `default` unless said.
        pub fn bucket(mut self, bucket: impl AsRef<[u8]>) -> Self {
            self.common.bucket = Bytes::copy_from_slice(bucket.as_ref());
            self
        }

        /// Asks only the first so many owners, at most the bucket's n.
        pub fn n(mut self, n: u8) -> Self {
            self.common.options.n = Some(n);
            self
        }

        /// Whether fallbacks may stand in for owners that are down.
        pub fn sloppy(mut self, sloppy: bool) -> Self {
            self.common.options.sloppy = Some(sloppy);
            self
        }

        /// Only owners count. With r + w > n a read then sees every write that was acknowledged before it.
        pub fn strict(mut self) -> Self {
            self.common.options.strict = true;
            self
        }

        /// How long to try, retries included; the client's timeout unless said.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.common.timeout = Some(timeout);
            self
        }
    };
}

/// Options of writes.
macro_rules! write_options {
    () => {
        /// What was read: the write covers exactly that. Takes a context, or a [`Read`](super::Read)'s, which has none if the
        /// key was never written.
        pub fn context<'a>(mut self, context: impl Into<Option<&'a Context>>) -> Self {
            self.context = context.into().map(|context| context.as_bytes().clone());
            self
        }

        /// How many replicas, or fallbacks, must hold it durably; a number, or [`QuorumSize`].
        pub fn w(mut self, w: impl Into<QuorumSize>) -> Self {
            self.common.options.w = Some(w.into());
            self
        }

        /// How many of w must be owners.
        pub fn pw(mut self, pw: impl Into<QuorumSize>) -> Self {
            self.common.options.pw = Some(pw.into());
            self
        }
    };
}

/// A read: awaited, a [`Read`].
#[derive(Clone, Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Get<C = ()> {
    client: C,
    common: Common,
}

/// A write: awaited, [`Written`].
#[derive(Clone, Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Put<C = ()> {
    client: C,
    common: Common,
    value: Bytes,
    context: Option<Bytes>,
    ttl: Option<Duration>,
    blind: Option<BlindWrite>,
}

/// A delete, which is a write of a tombstone: awaited, [`Written`].
#[derive(Clone, Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Delete<C = ()> {
    client: C,
    common: Common,
    context: Option<Bytes>,
}

impl Get {
    /// A read of a key, for [`Client::multi_get`].
    pub fn new(key: impl AsRef<[u8]>) -> Get {
        Get { client: (), common: Common::new(key) }
    }
}

impl<K: AsRef<[u8]>> From<K> for Get {
    fn from(key: K) -> Get {
        Get::new(key)
    }
}

impl Put {
    /// A write of a key, for [`Client::multi_put`].
    pub fn new(key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Put {
        Put { client: (), common: Common::new(key), value: value.into(), context: None, ttl: None, blind: None }
    }
}

impl<K: AsRef<[u8]>, V: Into<Bytes>> From<(K, V)> for Put {
    fn from((key, value): (K, V)) -> Put {
        Put::new(key, value)
    }
}

impl Delete {
    /// A delete of a key.
    fn new(key: impl AsRef<[u8]>) -> Delete {
        Delete { client: (), common: Common::new(key), context: None }
    }
}

impl<C> Get<C> {
    common_options!();

    /// How many replicas must answer; a number, or [`QuorumSize`].
    pub fn r(mut self, r: impl Into<QuorumSize>) -> Self {
        self.common.options.r = Some(r.into());
        self
    }

    /// How many of r must be owners.
    pub fn pr(mut self, pr: impl Into<QuorumSize>) -> Self {
        self.common.options.pr = Some(pr.into());
        self
    }

    pub(super) fn on<D>(self, client: D) -> Get<D> {
        Get { client, common: self.common }
    }

    fn parts(self) -> (C, Request, Option<Duration>) {
        let operation = Operation::Get { key: self.common.key() };
        (self.client, Request { operation, options: self.common.options }, self.common.timeout)
    }
}

impl<C> Put<C> {
    common_options!();
    write_options!();

    /// The value counts as deleted after so long, by the clock of whoever coordinates a read.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// What the write covers if it has no context; the bucket's choice unless said.
    pub fn blind(mut self, blind: BlindWrite) -> Self {
        self.blind = Some(blind);
        self
    }

    pub(super) fn on<D>(self, client: D) -> Put<D> {
        let Put { common, value, context, ttl, blind, .. } = self;
        Put { client, common, value, context, ttl, blind }
    }

    fn parts(self) -> (C, Request, Option<Duration>) {
        let operation = Operation::Put {
            key: self.common.key(),
            value: self.value,
            context: self.context,
            ttl_ms: self.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            blind: self.blind,
        };
        (self.client, Request { operation, options: self.common.options }, self.common.timeout)
    }
}

impl<C> Delete<C> {
    common_options!();
    write_options!();

    fn parts(self) -> (C, Request, Option<Duration>) {
        let operation = Operation::Delete { key: self.common.key(), context: self.context };
        (self.client, Request { operation, options: self.common.options }, self.common.timeout)
    }
}

impl Client {
    /// Reads a key.
    ///
    /// ```no_run
    /// # async fn example(client: kv::client::Client) -> Result<(), kv::client::ClientError> {
    /// let read = client.get("foo").r(2).await?;
    /// match read.value() {
    ///     Some(value) => println!("{value:?}"),
    ///     None => println!("not found"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: impl AsRef<[u8]>) -> Get<&Client> {
        Get::new(key).on(self)
    }

    /// Writes a key.
    ///
    /// With the context of a read the new value replaces exactly what was read; a value that was written meanwhile stays
    /// beside it as a sibling. Without one the bucket says what it covers.
    ///
    /// ```no_run
    /// # async fn example(client: kv::client::Client) -> Result<(), kv::client::ClientError> {
    /// client.put("foo", "bar").w(3).await?;
    ///
    /// // Add to what is there, without losing what others add meanwhile.
    /// let read = client.get("cart").await?;
    /// let mut items: Vec<u8> = read.siblings().flatten().copied().collect();
    /// items.push(b'x');
    /// let mut put = client.put("cart", items);
    /// if let Some(context) = &read.context {
    ///     put = put.context(context);
    /// }
    /// put.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Put<&Client> {
        Put::new(key, value).on(self)
    }

    /// Deletes a key: with the context of a read exactly what was read, without one what the coordinating replica holds.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Delete<&Client> {
        let Delete { common, context, .. } = Delete::new(key);
        Delete { client: self, common, context }
    }

    async fn perform<T: FromAnswer>(&self, request: Request, timeout: Option<Duration>) -> Result<T, ClientError> {
        let (answer, address) = dispatch::perform(&self.topology, request, timeout).await?;
        T::from_answer(answer, &address)
    }
}

/// A bound operation is awaited where it stands.
macro_rules! awaited {
    ($operation:ident, $answer:ty) => {
        impl<'c> IntoFuture for $operation<&'c Client> {
            type Output = Result<$answer, ClientError>;
            type IntoFuture = Answering<'c, $answer>;

            fn into_future(self) -> Self::IntoFuture {
                let (client, request, timeout) = self.parts();
                Box::pin(client.perform(request, timeout))
            }
        }
    };
}

awaited!(Get, Read);
awaited!(Put, Written);
awaited!(Delete, Written);
