//! Where each key of a configuration was written: the one place that knows lines.

use std::collections::{BTreeMap, BTreeSet};

use super::complaint::Complaint;
use super::problem::{Place, Problem};

/// Where a configuration came from. Keys are written with their tables, as in `nodes[1].address`.
#[derive(Default, Debug)]
pub(super) struct Source {
    file: String,
    lines: BTreeMap<String, usize>,
    absent: BTreeSet<String>,
    arguments: BTreeMap<&'static str, &'static str>,
}

impl Source {
    /// A file by the name that its reader knows it under, or `command line`.
    pub fn new(file: impl Into<String>) -> Source {
        Source { file: file.into(), ..Source::default() }
    }

    /// `key` stands on `line`.
    pub fn found(&mut self, key: &str, line: usize) {
        self.lines.insert(key.into(), line);
    }

    /// `key` could stand in the file and does not.
    pub fn absent(&mut self, key: &str) {
        self.absent.insert(key.into());
    }

    /// `key` was given by `argument` instead.
    pub fn overridden(&mut self, key: &'static str, argument: &'static str) {
        self.arguments.insert(key, argument);
    }

    /// Whether somebody chose the value of `key`.
    pub fn has(&self, key: &str) -> bool {
        self.lines.contains_key(key) || self.arguments.contains_key(key)
    }

    /// All keys that were left to their defaults.
    #[cfg(test)]
    pub fn defaulted(&self) -> &BTreeSet<String> {
        &self.absent
    }

    /// All keys of the file.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.lines.keys().chain(&self.absent)
    }

    /// The line of `key`, or of the innermost table around it that was written down.
    pub fn line(&self, key: &str) -> Option<usize> {
        let mut path = key;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// A problem with `key`, at its place.
    pub fn problem(&self, key: impl Into<String>, complaint: Complaint) -> Problem {
        let key = key.into();
        let place = match (self.arguments.get(key.as_str()), self.line(&key)) {
            (Some(argument), _) => Place::Argument(argument),
            (None, Some(line)) => Place::Line(self.file.clone(), line),
            (None, None) => Place::File(self.file.clone()),
        };
        Problem { place, key, complaint }
    }
}

/// The line of a byte of `text`, counted from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        let lines =
            ["a\nb\n\nc", "a\r\nb\r\n\r\nc"].map(|text| (0..9).map(|byte| line_of(text, byte)).collect::<Vec<_>>());
        assert_eq!(lines[0], [1, 1, 2, 2, 3, 4, 4, 4, 4]);
        assert_eq!(lines[1], [1, 1, 1, 2, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn a_key_that_is_not_there_is_placed_at_its_table() {
        let mut source = Source::new("f");
        source.found("nodes[0]", 3);
        source.found("nodes[0].id", 4);
        let line = |key| source.line(key);
        assert_eq!((line("nodes[0].id"), line("nodes[0].zone"), line("nodes[1].id")), (Some(4), Some(3), None));
    }

    #[test]
    fn an_argument_wins_over_the_file() {
        let mut source = Source::new("f");
        source.found("listen", 3);
        source.overridden("listen", "--listen");
        assert_eq!(source.problem("listen", Complaint::Missing("one")).to_string(), "--listen: is missing; give one");
    }
}
