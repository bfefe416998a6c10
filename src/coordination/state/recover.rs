//! The way on for a state whose majority is lost.

use super::State;
use crate::coordination::tree::{GENERATION_MAX, SessionId, generation_of};

/// Why a state does not enter a generation. It is untouched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("generation {generation} does not follow {present}; give the next one, at most {GENERATION_MAX}")]
pub struct GenerationError {
    /// The one asked for.
    pub generation: u32,
    /// The one that the state is of.
    pub present: u32,
}

impl State {
    /// How many forced recoveries led to this state.
    pub fn generation(&self) -> u32 {
        generation_of(self.tree.revision().0)
    }

    /// Goes on without the majority that acknowledged writes which this replica may never have seen: ends all sessions and
    /// raises the revision, ids of sessions, versions and numbers of sequential nodes past all that was given before. Answers
    /// the sessions that it ended.
    ///
    /// # Errors
    /// [`GenerationError`] unless the generation is a later one.
    pub fn recover(&mut self, generation: u32) -> Result<Vec<SessionId>, GenerationError> {
        let present = self.generation();
        if generation <= present || generation > GENERATION_MAX {
            return Err(GenerationError { generation, present });
        }
        let ended = self.sessions.recover(generation);
        for session in &ended {
            // Nobody watches a state that is recovered.
            self.tree.remove_owned(*session);
        }
        self.tree.enter(generation);
        Ok(ended)
    }
}
