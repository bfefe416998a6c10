//! What a reader has seen, to be handed back with the write that follows.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// A causal context: opaque bytes that name every write which a read found or which was covered by one that it found.
///
/// A write with a context covers exactly that. As text it is hexadecimal, for command lines and logs:
///
/// ```
/// use kv::client::Context;
///
/// let context = Context::from_bytes(vec![0x01, 0xff]);
/// assert_eq!(context.to_string(), "01ff");
/// assert_eq!("01ff".parse(), Ok(context));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(Bytes);

/// Text that is no context.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no context: give the hexadecimal digits that a read printed, all of them")]
pub struct BadContext(pub String);

impl Context {
    /// A context as an answer carried it. It is checked by the node that gets it.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Context {
        Context(bytes.into())
    }

    /// The bytes, to be kept anywhere.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Context({self})")
    }
}

impl FromStr for Context {
    type Err = BadContext;

    fn from_str(text: &str) -> Result<Context, BadContext> {
        let bad = || BadContext(text.into());
        let digits: Vec<u8> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or_else(bad)?;
        if digits.is_empty() || !digits.len().is_multiple_of(2) {
            return Err(bad());
        }
        Ok(Context(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bytes in proptest::collection::vec(any::<u8>(), 1..50)) {
            let context = Context::from_bytes(bytes);
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }
    }

    #[test]
    fn damaged_text_is_refused() {
        for text in ["", "0", "0g", "0x01", "01ff0", "ä"] {
            assert_eq!(text.parse::<Context>(), Err(BadContext(text.into())));
        }
    }
}
