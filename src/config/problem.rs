//! What is wrong with a configuration, and where.
//!
//! A configuration is read to its end before it is refused, so that whoever wrote it mends all of it in one go.

use std::fmt;

use super::complaint::Complaint;

/// A configuration that cannot be used, with everything that is wrong with it. Shown one problem a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// In the order of files and lines; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key with its tables, as in `limits.key_bytes_max`; empty if the whole file is meant.
    pub key: String,
    /// What is wrong, and what would be right.
    pub complaint: Complaint,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (&self.place, self.key.as_str()) {
            (place @ Place::Argument(_), _) | (place, "") => write!(f, "{place}: {}", self.complaint),
            (place, key) => write!(f, "{place}: {key}: {}", self.complaint),
        }
    }
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A flag or an environment variable, by its name.
    Argument(&'static str),
    /// A file as a whole: the key is not in it.
    File(String),
    /// A line of a file, counted from 1.
    Line(String, usize),
}

impl Place {
    fn file(&self) -> Option<&str> {
        match self {
            Place::Argument(_) => None,
            Place::File(file) | Place::Line(file, _) => Some(file),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::Argument(name) => f.write_str(name),
            Place::File(file) => f.write_str(file),
            Place::Line(file, line) => write!(f, "{file}:{line}"),
        }
    }
}

/// Collects problems; of several about one key it keeps the first, which usually caused the others.
#[derive(Default, Debug)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        let same = |other: &Problem| other.key == problem.key && other.place.file() == problem.place.file();
        if problem.key.is_empty() || !self.0.iter().any(same) {
            self.0.push(problem);
        }
    }

    pub fn extend(&mut self, others: Problems) {
        self.0.extend(others.0);
    }

    /// Whether `key` of any file is wrong.
    pub fn about(&self, key: &str) -> bool {
        self.0.iter().any(|problem| problem.key == key)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing was wrong.
    pub fn into_result<T>(mut self, value: T) -> Result<T, ConfigError> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|one, other| (&one.place, &one.key).cmp(&(&other.place, &other.key)));
        Err(ConfigError { problems: self.0 })
    }
}
