//! One partition: who has it, and where it is going.
//!
//! A partition changes hands in steps, each of them a new epoch of the ring:
//!
//! | | `owners` | the others | reads | writes |
//! |---|---|---|---|---|
//! | at rest | old | | owners | owners |
//! | [`Motion::Pending`] | old | new, arriving | owners | both, a quorum in each |
//! | [`Motion::Switched`] | new | old, departing | owners | both, a quorum in each |
//! | at rest, with `draining` | new | | owners | owners |
//!
//! So `owners` are always those who are read from, and who mint dots. What lies between the steps (who must have acknowledged,
//! who must hold what) is decided with the ring changes.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::id::{Epoch, StoreId};

/// Who has a partition. Members are named by their stores; inside a ring and in records by their number in its list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slice<M = StoreId> {
    /// Who is read from, in the order of their places.
    pub owners: Vec<M>,
    /// While it changes hands: the other owners that a write must reach.
    pub motion: Option<Motion<M>>,
    /// Stores that do not own it any more, or never came to, and may still hold some of it. They take no writes, deliver what they
    /// hold to the owners, and drop it.
    pub draining: Vec<M>,
    /// When `owners` or `motion` last changed: the age that requests for this partition carry. Zero if never.
    pub since: Epoch,
}

/// How far a partition is on its way from some owners to others. Places that stay have the same owner on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Motion<M = StoreId> {
    /// These arrive: they take writes and copy what was there before. Those who are read from are to depart.
    Pending(Vec<M>),
    /// These depart: they still take writes, until everybody knows that reads go to those who have arrived.
    Switched(Vec<M>),
}

impl<M> Motion<M> {
    /// The owners that are not read from.
    pub fn others(&self) -> &[M] {
        match self {
            Motion::Pending(others) | Motion::Switched(others) => others,
        }
    }
}

impl<M> Slice<M> {
    /// At rest since the beginning.
    pub fn at_rest(owners: Vec<M>) -> Slice<M> {
        Slice { owners, motion: None, draining: vec![], since: Epoch::default() }
    }

    /// The owners that are not read from; none at rest.
    pub fn others(&self) -> &[M] {
        self.motion.as_ref().map_or(&[], Motion::others)
    }

    /// All members that it names, some more than once.
    pub fn named(&self) -> impl Iterator<Item = &M> {
        self.owners.iter().chain(self.others()).chain(&self.draining)
    }

    /// The same slice with other names for the members; `None` if one of them has none.
    pub fn rename<T>(&self, name: impl Fn(&M) -> Option<T>) -> Option<Slice<T>> {
        let all = |members: &[M]| members.iter().map(&name).collect::<Option<Vec<T>>>();
        let motion = match &self.motion {
            None => None,
            Some(Motion::Pending(others)) => Some(Motion::Pending(all(others)?)),
            Some(Motion::Switched(others)) => Some(Motion::Switched(all(others)?)),
        };
        Some(Slice { owners: all(&self.owners)?, motion, draining: all(&self.draining)?, since: self.since })
    }
}

/// As people and JSON see it: `0,1,2>0,1,3-4@0.7` has owners 0, 1 and 2 and is pending to 0, 1 and 3, while 4 drains, since epoch
/// 0.7; `<` instead of `>` is switched. What is empty is left out.
impl Display for Slice<u16> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        list(f, "", &self.owners)?;
        match &self.motion {
            Some(Motion::Pending(others)) => list(f, ">", others)?,
            Some(Motion::Switched(others)) => list(f, "<", others)?,
            None => {}
        }
        if !self.draining.is_empty() {
            list(f, "-", &self.draining)?;
        }
        if self.since != Epoch::default() { write!(f, "@{}", self.since) } else { Ok(()) }
    }
}

fn list(f: &mut fmt::Formatter, sign: &str, members: &[u16]) -> fmt::Result {
    f.write_str(sign)?;
    for (i, member) in members.iter().enumerate() {
        write!(f, "{}{member}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

/// Why a text is no slice.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' says nothing of a partition's owners")]
pub struct BadSlice(String);

impl FromStr for Slice<u16> {
    type Err = BadSlice;

    fn from_str(text: &str) -> Result<Slice<u16>, BadSlice> {
        parse(text).ok_or_else(|| BadSlice(text.into()))
    }
}

fn parse(text: &str) -> Option<Slice<u16>> {
    let (text, since) = match text.split_once('@') {
        Some((text, since)) => (text, since.parse().ok()?),
        None => (text, Epoch::default()),
    };
    let (text, draining) = match text.split_once('-') {
        Some((text, draining)) => (text, members(draining)?),
        None => (text, vec![]),
    };
    let (owners, motion) = if let Some((owners, others)) = text.split_once('>') {
        (owners, Some(Motion::Pending(members(others)?)))
    } else if let Some((owners, others)) = text.split_once('<') {
        (owners, Some(Motion::Switched(members(others)?)))
    } else {
        (text, None)
    };
    Some(Slice { owners: members(owners)?, motion, draining, since })
}

fn members(list: &str) -> Option<Vec<u16>> {
    if list.is_empty() {
        return Some(vec![]);
    }
    list.split(',').map(|number| number.parse().ok()).collect()
}

impl Serialize for Slice<u16> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Slice<u16> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Slice<u16>, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_members() -> impl Strategy<Value = Vec<u16>> {
        proptest::collection::vec(any::<u16>(), 0..4)
    }

    proptest! {
        #[test]
        fn the_text_says_it_all(
            owners in some_members(), others in some_members(), motion in 0..3, draining in some_members(),
            generation: u32, counter: u64,
        ) {
            let motion = match motion {
                0 => None,
                1 => Some(Motion::Pending(others)),
                _ => Some(Motion::Switched(others)),
            };
            let slice = Slice { owners, motion, draining, since: Epoch { generation, counter } };
            prop_assert_eq!(slice.to_string().parse(), Ok(slice));
        }
    }

    #[test]
    fn at_rest_it_is_short() {
        assert_eq!(Slice::at_rest(vec![0u16, 1, 2]).to_string(), "0,1,2");
        let motion = Some(Motion::Pending(vec![0, 1, 3]));
        let since = Epoch { generation: 0, counter: 7 };
        assert_eq!(Slice { owners: vec![0, 1, 2], motion, draining: vec![4], since }.to_string(), "0,1,2>0,1,3-4@0.7");
        for bad in ["a", "0,,1", "0,1@", "0@7", "0>1>2", "0,65536"] {
            assert_eq!(bad.parse::<Slice<u16>>(), Err(BadSlice(bad.into())));
        }
    }
}
