//! Listing a bucket: a coverage query, page by page.
//!
//! No node holds all keys, so a listing visits the partitions one after the other. For each page a quorum of the partition's
//! owners is asked for what it holds of the bucket after the last key ([`Coverage`] counts who answered); each answers with
//! as much as it may ([`OwnerPage`]); the pages are merged as far as all of them reach ([`merge`]), and what is not live is
//! left out ([`live`]). Where to go on is a [`Cursor`], which the caller keeps: no node remembers a listing, and any node
//! can go on with it.
//!
//! A key's place in the listing, its partition and then its name, never changes, and a cursor only moves forward. So no key
//! comes twice, whatever happens to ring and nodes meanwhile, and none that lives throughout is left out. A key that
//! is written or deleted meanwhile may come or not. Each page is as recent as a read at the same quorum; there is no
//! snapshot over all of them.

mod coverage;
mod cursor;
mod merge;

pub use coverage::{Coverage, Shortfall, Step};
pub use cursor::{BadCursor, Cursor};
pub use merge::{OwnerPage, Page, live, merge, outline};

/// Keys that are looked at for one page, deleted ones included; who asks for more gets so many.
pub const PAGE_KEYS_MAX: u32 = 1000;

/// Bytes of records that an owner reads for one page: it ends after the record that reaches them, so one record is always
/// read. Bounds what a page costs in memory, and for how long an owner keeps others waiting.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
