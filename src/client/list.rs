//! Going through a bucket.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;

use super::{Client, ClientError, Context, dispatch};
use crate::core::listing::PAGE_KEYS_MAX;
use crate::core::request::Value;
use crate::wire::list::{ListRequest, Listed};

/// A key with what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key's name in the bucket.
    pub key: Bytes,
    /// Every surviving sibling, newest first; at least one.
    pub values: Vec<Value>,
    /// To be given to a write that follows, so that it replaces all of `values`.
    pub context: Option<Context>,
}

/// What one request for more has brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<I> {
    /// Keys or entries. There may be none, although more follow: deleted keys are passed over on the way.
    pub items: Vec<I>,
    /// Partitions that have been listed to their end, of `partitions`: how far the listing is.
    pub partitions_done: u32,
    /// Partitions of the cluster.
    pub partitions: u32,
}

/// A way through a bucket: made by [`Client::keys`] and [`Client::entries`], followed with [`Listing::next_page`].
#[derive(Clone)]
#[must_use = "a listing asks for nothing until next_page"]
pub struct Listing<I> {
    client: Client,
    /// The next page.
    request: ListRequest,
    partitions_done: u32,
    ended: bool,
    item: PhantomData<fn() -> I>,
}

/// What a listing is made of.
pub trait FromListed: Sized {
    /// Whether values must be asked for.
    const VALUES: bool;

    /// Takes it out of what a node said.
    fn from_listed(listed: Listed) -> Self;
}

impl FromListed for Bytes {
    const VALUES: bool = false;

    fn from_listed(listed: Listed) -> Bytes {
        listed.name
    }
}

impl FromListed for Entry {
    const VALUES: bool = true;

    fn from_listed(listed: Listed) -> Entry {
        Entry { key: listed.name, values: listed.values, context: listed.context.map(Context::from_bytes) }
    }
}

impl Client {
    /// Goes through the live keys of a bucket.
    ///
    /// Each key comes once, in an order of the cluster's own: by partition, and within one by name. A key that is written or
    /// deleted meanwhile may come or not. What comes is as recent as a read with the bucket's r, and as there, what only
    /// a fallback holds may be missing until it is handed off.
    ///
    /// ```no_run
    /// # async fn example(client: kv::client::Client) -> Result<(), kv::client::ClientError> {
    /// let mut keys = client.keys("carts").prefix("2024-");
    /// while let Some(page) = keys.next_page().await? {
    ///     for key in page.items {
    ///         println!("{key:?}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(&self, bucket: impl AsRef<[u8]>) -> Listing<Bytes> {
        Listing::new(self, bucket.as_ref())
    }

    /// Goes through the live keys of a bucket with their values and contexts; as [`Client::keys`] otherwise.
    pub fn entries(&self, bucket: impl AsRef<[u8]>) -> Listing<Entry> {
        Listing::new(self, bucket.as_ref())
    }
}

impl<I: FromListed> Listing<I> {
    fn new(client: &Client, bucket: &[u8]) -> Listing<I> {
        let request = ListRequest {
            bucket: Bytes::copy_from_slice(bucket),
            prefix: Bytes::new(),
            cursor: None,
            keys_max: PAGE_KEYS_MAX,
            values: I::VALUES,
        };
        Listing { client: client.clone(), request, partitions_done: 0, ended: false, item: PhantomData }
    }

    /// Only keys that begin so. Costs a fraction of the whole: keys of one partition lie in the order of their names.
    pub fn prefix(mut self, prefix: impl AsRef<[u8]>) -> Listing<I> {
        self.request.prefix = Bytes::copy_from_slice(prefix.as_ref());
        self
    }

    /// At most so many keys in a page; 1,000 by default, which is also the most. A page of large values has fewer: owners end
    /// it at about a mebibyte.
    pub fn page_size(mut self, keys: u32) -> Listing<I> {
        self.request.keys_max = keys.clamp(1, PAGE_KEYS_MAX);
        self
    }

    /// Asks for the next page; `None` at the end. If a node fails another one goes on.
    ///
    /// An error does not end the listing: call again to go on from the same place. May be dropped and called again.
    ///
    /// # Errors
    /// [`Failure::NotCovered`](super::Failure::NotCovered), which names the partition and the owners that did not answer;
    /// [`ClientError::Connect`] and [`ClientError::Timeout`] if no node answers.
    pub async fn next_page(&mut self) -> Result<Option<Page<I>>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        let page = dispatch::list(&self.client.topology, &self.request, self.partitions_done).await?;
        self.partitions_done = page.partitions_done;
        self.ended = page.next.is_none();
        self.request.cursor = page.next;
        let items = page.keys.into_iter().map(I::from_listed).collect();
        Ok(Some(Page { items, partitions_done: page.partitions_done, partitions: page.partitions }))
    }
}

impl<I> fmt::Debug for Listing<I> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Listing").field("request", &self.request).finish_non_exhaustive()
    }
}
