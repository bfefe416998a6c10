//! Making new versions: the only place where dots come from.

use super::{Actor, Context, Dot, Merged, Object, Payload, Record, Sibling, clock};
use crate::core::bucket::{BlindWrite, Conflict};
use crate::core::limits::Limits;
use crate::core::request::Failure;
use crate::mutant;

/// A replica's present life, from one doubt about its memory to the next.
///
/// A new one is drawn at every start, and after every failed write or sync: only what was minted in the present life may be
/// continued, because only of that is it certain that nothing was forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    incarnation: u64,
    births: u64,
}

impl Life {
    /// Begins with a random number that no life has had before.
    pub fn begin(incarnation: u64) -> Life {
        Life { incarnation, births: 0 }
    }

    /// The random number that it began with.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Continues the actor of `mark` if it is of this life; else gives birth to a new one.
    fn actor(&mut self, mark: Option<Actor>, seen: &Context) -> Actor {
        match mark {
            Some(own) if own.incarnation == self.incarnation || mutant!(ContinueForeignMark) => own,
            // The store itself as the actor, as it is in many a Dynamo clone.
            _ if mutant!(ContinueAfterWipe) => Actor { incarnation: self.incarnation, birth: 1 },
            _ => loop {
                self.births += 1;
                let born = Actor { incarnation: self.incarnation, birth: self.births };
                // Only a forger can have seen events of an actor before its birth.
                if seen.highest(born) == 0 {
                    return born;
                }
            },
        }
    }
}

/// A write as its coordinating replica sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The value or tombstone.
    pub payload: Payload,
    /// What the writer had read.
    pub context: Option<Context>,
    /// What is covered without a context.
    pub blind: BlindWrite,
    /// How the bucket treats concurrent writes.
    pub conflict: Conflict,
    /// When the value expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A write that got its dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minted {
    /// What to store.
    pub record: Record,
    /// The new event.
    pub dot: Dot,
    /// What the writer has seen now: its write and what that covered.
    pub context: Context,
    /// Somebody knew more of this replica's own actor than itself. See [`Doubt`].
    pub doubt: Option<Doubt>,
}

/// An alarm: a vector or a context claims more events of this replica's own actor than the replica remembers. Either it
/// has lost some, or the claim is forged. The mark is dropped, so the next write starts a new actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// The actor in question.
    pub actor: Actor,
    /// Events remembered.
    pub remembered: u64,
    /// Events claimed.
    pub claimed: u64,
}

impl Record {
    /// Applies a write: covers what its writer had seen, adds the new sibling under a new dot.
    ///
    /// Refused only by a limit, and never when it lowers what is over the limit.
    pub fn mint(mut self, write: Write, life: &mut Life, limits: &Limits) -> Result<Minted, Failure> {
        let doubt = self.doubt(life, |own| write.context.as_ref().map_or(0, |c| c.highest(own)));
        let before = Size::of(&self.object);
        let object = &mut self.object;
        let mut seen = match (write.context, write.blind) {
            (Some(context), _) => context,
            (None, BlindWrite::Supersede) => object.context.clone(),
            (None, BlindWrite::Sibling) => Context::default(),
        };
        object.siblings.retain(|s| !seen.covers(s.dot));
        object.context.join(&seen);
        if write.payload != Payload::Tombstone {
            // What has expired is a tombstone, and goes like one beside a value. Its dot stays in the context.
            object.siblings.retain(|s| s.payload == Payload::Tombstone || !s.is_deleted(write.now_ms));
        }

        let actor = life.actor(self.mark, &object.context);
        let dot = Dot { actor, counter: object.context.vector.get(actor) + 1 };
        let time = clock::next(write.now_ms, object.context.time);
        object.context.add(dot, time);
        object.insert(Sibling { dot, time, payload: write.payload, expires_ms: write.expires_ms });
        object.settle(write.conflict);
        if mutant!(DropDot) {
            object.siblings.retain(|s| s.dot == dot);
        }
        check(limits, before, Size::of(object))?;

        // What is left is the writer's own: the next write may cover all that led to it.
        if object.siblings.iter().all(|s| s.dot == dot) {
            seen.join(&object.context);
        }
        seen.add(dot, time);
        self.mark = Some(actor);
        Ok(Minted { record: self, dot, context: seen, doubt })
    }

    /// Merges what another replica sent.
    pub fn merge(&mut self, other: &Object, conflict: Conflict, life: &Life) -> (Merged, Option<Doubt>) {
        let doubt = self.doubt(life, |own| other.context.highest(own));
        let merged = self.object.merge(other, conflict);
        // A mark that was dropped must be dropped on disk as well.
        (if doubt.is_some() { Merged::Changed } else { merged }, doubt)
    }

    /// Drops the mark if `claimed` knows more events of its actor than this object does. That a mark of an earlier life is
    /// behind is to be expected: its last write may have reached others and been lost here.
    fn doubt(&mut self, life: &Life, claimed: impl Fn(Actor) -> u64) -> Option<Doubt> {
        let actor = self.mark.filter(|own| own.incarnation == life.incarnation)?;
        let (remembered, claimed) = (self.object.context.vector.get(actor), claimed(actor));
        (claimed > remembered).then(|| {
            self.mark = None;
            Doubt { actor, remembered, claimed }
        })
    }
}

/// What limits bind.
#[derive(Clone, Copy)]
struct Size {
    siblings: usize,
    value_bytes: usize,
    context_entries: usize,
}

impl Size {
    fn of(object: &Object) -> Size {
        Size {
            siblings: object.siblings.len(),
            value_bytes: object.value_bytes(),
            context_entries: object.context.entries(),
        }
    }
}

fn check(limits: &Limits, before: Size, after: Size) -> Result<(), Failure> {
    let passes = |old: usize, new: usize, limit: u32| new > limit as usize && new >= old;
    let too_many =
        |what: &str, have: usize, limit: u32| Err(Failure::TooMany { what: what.into(), have: have as u32, limit });
    if passes(before.siblings, after.siblings, limits.siblings_max) {
        return too_many("siblings", after.siblings, limits.siblings_max);
    }
    if passes(before.value_bytes, after.value_bytes, limits.object_bytes_max) {
        let (bytes, limit) = (after.value_bytes as u64, limits.object_bytes_max as u64);
        return Err(Failure::TooLarge { what: "object".into(), bytes, limit });
    }
    if passes(before.context_entries, after.context_entries, limits.context_entries_max) {
        return too_many("context entries", after.context_entries, limits.context_entries_max);
    }
    Ok(())
}
