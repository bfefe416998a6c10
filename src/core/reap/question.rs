//! What stores are asked before something is reaped, and what they answer.
//!
//! All questions carry the asker's ring; whoever goes by another one refuses. They change nothing but the last, which may be
//! repeated: what was removed is not there to be removed again.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::core::id::StoreId;
use crate::core::version::Clock;

/// About one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// How do you stand to it? Answered by [`Answer::Looked`].
    Look,
    /// Since when do you hold these versions of these keys? For an owner. Answered by [`Answer::Held`].
    Held(Vec<(Bytes, Clock)>),
    /// Drop these, each if that is its version still. For an owner. Answered by [`Answer::Removed`] when it is durable.
    Remove(Vec<Removal>),
}

/// One key of which something is to be forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Removal {
    /// The stored key.
    pub stored: Bytes,
    /// The version that every owner holds.
    pub clock: Clock,
    /// Only context entries are forgotten, and the mark with them; the siblings stay.
    pub prunes: bool,
}

/// What a store answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Look`].
    Looked(Vouched),
    /// To [`Question::Held`], in the order of the keys.
    Held(Vec<Standing>),
    /// To [`Question::Remove`]: for each in order, whether it is gone now.
    Removed(Vec<bool>),
}

/// How a store stands to a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vouched {
    /// Which of its starts this is; a number drawn at random.
    pub life: u64,
    /// How long it has run since, by a clock that stands still when it does.
    pub ran: Duration,
    /// How many copies it has taken in place of an owner, of this partition, since that start.
    pub taken: u64,
    /// How long a version that it has read may be under way.
    pub lasting: Duration,
    /// The grace that it is told to give.
    pub grace: Duration,
    /// What it holds that could bring something back.
    pub stray: Option<Stray>,
}

/// What keeps tombstones of a partition from being reaped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Stray {
    /// A copy that is kept for this store.
    Hint(StoreId),
    /// A copy without a place, kept for nobody in particular: of a drain, an arrival that was turned back, an absence.
    Copy,
    /// It may have lost something of it.
    NeedsSync,
}

/// How an owner stands to one version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It holds nothing of the key.
    Nothing,
    /// It holds that version, and its grace has counted for so long, by its own clock.
    Held(Duration),
    /// It holds another one, or cannot say.
    Other,
}
