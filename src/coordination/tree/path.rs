//! Where a node stands in the tree.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Digits of the number that a sequential node's name ends in.
pub const SEQUENCE_DIGITS: usize = 10;

/// An absolute path such as `/members/7`: `/` alone, or names that each follow a `/`. Cheap to clone.
///
/// The rules are ZooKeeper's, so that a path that is good here is good there: no empty name, no `.` or `..`, no control
/// characters, nothing above U+E000 that is private, special or outside the basic plane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Path(Arc<str>);

/// Why a text is no path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// It does not begin at the root.
    #[error("'{0}' does not begin with '/'")]
    NotAbsolute(String),
    /// Two slashes meet, or one stands at the end.
    #[error("'{0}' has an empty name between or after its slashes")]
    EmptyName(String),
    /// `.` and `..` mean something elsewhere.
    #[error("'{0}' has '.' or '..' as a name; paths are not relative")]
    Relative(String),
    /// A name that was to be added below a path holds a slash.
    #[error("'{0}' is not one name: it holds a '/'")]
    Slash(String),
    /// A character that ZooKeeper takes in no path.
    #[error("'{}' may stand in no path", .0.escape_unicode())]
    Character(char),
    /// Longer than [`Path::BYTES_MAX`].
    #[error("a path of {bytes} bytes; it may have {}", Path::BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Deeper than [`Path::DEPTH_MAX`].
    #[error("a path of {depth} names; it may have {}", Path::DEPTH_MAX)]
    TooDeep {
        /// How many names it has.
        depth: usize,
    },
}

impl Path {
    /// Longest path, in bytes.
    pub const BYTES_MAX: usize = 1024;
    /// Most names in a path. Every change looks for watches on all paths above it.
    pub const DEPTH_MAX: usize = 32;

    /// `/`, which is always there.
    pub fn root() -> Path {
        Path("/".into())
    }

    /// The path of a node directly below this one.
    ///
    /// # Errors
    /// [`PathError`] if the name is none, or the path would be too long or deep.
    pub fn child(&self, name: &str) -> Result<Path, PathError> {
        if name.contains('/') {
            return Err(PathError::Slash(name.into()));
        }
        let above = if self.is_root() { "" } else { self.as_str() };
        format!("{above}/{name}").parse()
    }

    /// This path with a number behind it, as a sequential node is named.
    ///
    /// # Errors
    /// [`PathError::TooLong`].
    pub fn numbered(&self, sequence: u64) -> Result<Path, PathError> {
        format!("{self}{sequence:0digits$}", digits = SEQUENCE_DIGITS).parse()
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// The path above; `None` of the root.
    pub fn parent(&self) -> Option<Path> {
        let (above, _) = self.as_str().rsplit_once('/').filter(|_| !self.is_root())?;
        Some(if above.is_empty() { Path::root() } else { Path(above.into()) })
    }

    /// The last name; empty of the root.
    pub fn name(&self) -> &str {
        self.as_str().rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All paths above, the nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Path> {
        std::iter::successors(self.parent(), Path::parent)
    }

    fn check(text: &str) -> Result<(), PathError> {
        if text.len() > Path::BYTES_MAX {
            return Err(PathError::TooLong { bytes: text.len() });
        }
        let names = text.strip_prefix('/').ok_or_else(|| PathError::NotAbsolute(text.into()))?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names.split('/') {
            match name {
                "" => return Err(PathError::EmptyName(text.into())),
                "." | ".." => return Err(PathError::Relative(text.into())),
                _ => {}
            }
        }
        if let Some(character) = names.chars().find(|c| is_refused(*c)) {
            return Err(PathError::Character(character));
        }
        match names.split('/').count() {
            depth if depth > Path::DEPTH_MAX => Err(PathError::TooDeep { depth }),
            _ => Ok(()),
        }
    }
}

/// ZooKeeper judges the halves of a surrogate pair, so it refuses all that lies outside the basic plane.
fn is_refused(character: char) -> bool {
    character.is_control() || matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        Path::check(text).map(|()| Path(text.into()))
    }
}

impl TryFrom<Arc<str>> for Path {
    type Error = PathError;

    fn try_from(text: Arc<str>) -> Result<Path, PathError> {
        Path::check(&text).map(|()| Path(text))
    }
}

impl From<Path> for Arc<str> {
    fn from(path: Path) -> Arc<str> {
        path.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn takes_paths_apart() {
        let deep = path("/members/7/live");
        assert_eq!((deep.parent(), deep.name()), (Some(path("/members/7")), "live"));
        assert_eq!(Vec::from_iter(deep.ancestors()), [path("/members/7"), path("/members"), path("/")]);
        assert_eq!((Path::root().parent(), Path::root().name()), (None, ""));
        assert_eq!(path("/top").parent(), Some(Path::root()));
    }

    #[test]
    fn puts_paths_together() {
        assert_eq!(Path::root().child("a").unwrap().child("ü.x").unwrap(), path("/a/ü.x"));
        assert_eq!(path("/election/n-").numbered(42).unwrap(), path("/election/n-0000000042"));
        assert_eq!(path("/a").child("b/c"), Err(PathError::Slash("b/c".into())));
        assert!(path(&format!("/{}", "x".repeat(Path::BYTES_MAX - 5))).numbered(1).is_err());
    }

    #[test]
    fn refuses_what_zookeeper_refuses() {
        for empty in ["//", "/a/", "/a//b"] {
            assert_eq!(empty.parse::<Path>(), Err(PathError::EmptyName(empty.into())));
        }
        for relative in ["/.", "/a/..", "/a/./b"] {
            assert_eq!(relative.parse::<Path>(), Err(PathError::Relative(relative.into())));
        }
        for absent in ["", "a", "a/b"] {
            assert_eq!(absent.parse::<Path>(), Err(PathError::NotAbsolute(absent.into())));
        }
        for character in ['\0', '\n', '\u{7f}', '\u{9f}', '\u{e000}', '\u{f8ff}', '\u{fff0}', '😀'] {
            assert_eq!(format!("/a{character}").parse::<Path>(), Err(PathError::Character(character)));
        }
        for fine in ["/...", "/.a", "/a b", "/ü", "/\u{f900}"] {
            assert_eq!(path(fine).as_str(), fine);
        }
    }

    #[test]
    fn refuses_the_long_and_the_deep() {
        let deep = |names: usize| "/n".repeat(names);
        assert!(deep(Path::DEPTH_MAX).parse::<Path>().is_ok());
        assert_eq!(deep(Path::DEPTH_MAX + 1).parse::<Path>(), Err(PathError::TooDeep { depth: Path::DEPTH_MAX + 1 }));
        let long = format!("/{}", "x".repeat(Path::BYTES_MAX));
        assert_eq!(long.parse::<Path>(), Err(PathError::TooLong { bytes: Path::BYTES_MAX + 1 }));
    }

    #[test]
    fn decoding_checks_as_well() {
        let bytes = rmp_serde::to_vec("/a/../b").unwrap();
        assert!(rmp_serde::from_slice::<Path>(&bytes).is_err());
        let bytes = rmp_serde::to_vec(&path("/a/b")).unwrap();
        assert_eq!(rmp_serde::from_slice::<Path>(&bytes).unwrap(), path("/a/b"));
    }
}
