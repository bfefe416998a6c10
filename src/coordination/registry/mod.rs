//! What KV's nodes keep in the tree, whoever provides it.
//!
//! | node | holds | changed by |
//! |---|---|---|
//! | `/kv/cluster` | [`ClusterRecord`]: id, name, partitions, replication, voters | [`found`], once |
//! | `/kv/ring` | [`RingRecord`]: the epoch, who is in the cluster, and who has what | every change of members, owners or buckets |
//! | `/kv/stores/STORE` | [`StoreRecord`]: every store that ever was, with its latest start | [`register`] |
//! | `/kv/live/NODE` | [`Live`], ephemeral: a node that holds a session | [`register`], [`acknowledge`] |
//! | `/kv/buckets/NAME` | [`BucketRecord`]: a bucket with properties of its own | [`set_bucket`] |
//! | `/kv/plan`, `/kv/change`, `/kv/transfers/STORE` | ring changes | see [`change`] |
//! | `/kv/alarms/STORE` | [`Alarm`]: a copy of this store called, and was refused | [`register`], [`dismiss`] |
//!
//! Data is JSON, so that people can read it with any tool. `STORE` is the store's id in hexadecimal, `NODE` the node's number,
//! `NAME` the bucket's name with all that no path takes escaped.
//!
//! # A cluster, from its founding
//!
//! 1. *Founding.* One node [`found`]s the cluster: in one write the tree gets the cluster's id and the ring. The ring must be whole
//!    at once. Stores that the founder knows are members from the beginning; for nodes that have not come yet ids are drawn and
//!    *reserved*. Nobody has such a store, so none takes part in a majority ([`View::roster`]).
//! 2. *Coming.* Each node [`register`]s its store and its start. A store that belongs to no cluster yet adopts the id that is
//!    reserved for its node. If none is, it joins as a *guest*: a member that owns nothing and stands in for others.
//! 3. *Starting again.* The number of starts rises. Who shows an older start than the one registered is a store that was
//!    *rolled back*, who shows the same number with another nonce is a *clone*: both are refused for good, and an [`Alarm`] names
//!    them. An earlier start that still runs (it was paused, perhaps) sees in its [`View`] that it is over.
//! 4. *Losing a disk.* The node comes with a store that belongs to no cluster. Once the old one is not alive any more it counts as
//!    *replaced*: it keeps its places in the ring, so that nobody forgets what it promised, and the new one is a guest
//!    until it has copied them, which begins by itself.
//! 5. *Going out of the ring*, by leaving or by being removed. The store keeps its record: started again, it is a guest. Only one that is
//!    *forgotten* is refused for good.
//!
//! # What holds
//!
//! - Each change is one write under conditions: versions of all that it was decided on. Whoever loses the race reads again. An
//!   outcome that is unknown is looked for by reading; if the write comes late all the same, its conditions fail.
//! - A node has one live entry, made in the write that registers its start. So two processes never hold one node's place.
//! - `/kv/ring` alone says who is in the cluster. A bucket changes in one write with the ring's epoch, so ring and buckets are
//!   read as one ([`View::membership`]), and its epoch names both.
//!
//! What a node does with it, and when, is the watcher's matter (`node::membership_watcher`).

mod access;
mod alarms;
mod buckets;
pub mod change;
mod differences;
mod error;
mod founding;
mod judge;
mod paths;
mod place;
mod plan;
mod records;
mod register;
mod stored;
#[cfg(test)]
mod tests;
mod view;

pub use alarms::{dismiss, raise};
pub use buckets::{BucketChanges, buckets, properties, set_bucket};
pub use differences::differences;
pub use error::{Error, Verdict};
pub use founding::{Founding, found, recovered};
pub use judge::{judge, judge_by};
pub use paths::{ALARMS, BUCKETS, CHANGE, CLUSTER, LIVE, PLAN, RING, ROOT, STORES, TRANSFERS};
pub use records::{
    Alarm, AlarmKind, BucketRecord, ClusterRecord, Live, Rest, RingMember, RingRecord, Standing, StoreRecord,
    StoreState, Was,
};
pub use register::{Admitted, Joiner, acknowledge, register};
pub use stored::{StoredError, decode_membership, encode_membership};
pub use view::{Staged, View, read};
