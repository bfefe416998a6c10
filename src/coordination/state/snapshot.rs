//! The state as bytes, for a replica that lacks the log that led to it.

use bytes::Bytes;

use super::State;

/// The first byte; raised when older programs could not read what follows.
const FORMAT: u8 = 1;

/// Why bytes are no snapshot. The state they were read for is untouched.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a program that knows another form.
    #[error(
        "a snapshot of format {found:?}; this program knows {FORMAT}: use the program that wrote it, or a newer one"
    )]
    Format {
        /// The format it names; `None` if it is empty.
        found: Option<u8>,
    },
    /// Damaged, or of no state that can be.
    #[error("a damaged snapshot: {0}")]
    Damaged(#[from] rmp_serde::decode::Error),
    /// More bytes than a snapshot has.
    #[error("a damaged snapshot: {0} bytes follow its end")]
    Trailing(usize),
}

impl State {
    /// The whole state as bytes. Equal states give equal bytes.
    ///
    /// # Errors
    /// None in practice: writing to memory does not fail, and no part of the state is without a form.
    pub fn snapshot(&self) -> Result<Bytes, rmp_serde::encode::Error> {
        let mut bytes = vec![FORMAT];
        rmp_serde::encode::write(&mut bytes, self)?;
        Ok(bytes.into())
    }

    /// The state that a snapshot was made of.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn restore(snapshot: &[u8]) -> Result<State, SnapshotError> {
        let (Some(&FORMAT), Some(mut rest)) = (snapshot.first(), snapshot.get(1..)) else {
            return Err(SnapshotError::Format { found: snapshot.first().copied() });
        };
        let state = rmp_serde::from_read(&mut rest)?;
        if rest.is_empty() { Ok(state) } else { Err(SnapshotError::Trailing(rest.len())) }
    }
}
