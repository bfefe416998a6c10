//! Reading a TOML file into values that already hold their defaults.
//!
//! A file is a tree of [`Table`]s. Whoever reads one asks for each key that it knows; what is written replaces the
//! default, what is wrong is noted and leaves the default in place, and what nobody asked for is an unknown key. So
//! one line per key says its name, type, range and unit, and one pass finds everything that is wrong.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Complaint, KeyHint};
use super::nearest::nearest;
use super::problem::{Place, Problem, Problems};
use super::source::{Source, line_of};

/// Bytes of a name or an address: the greeting of a connection must hold it.
const TEXT_BYTES_MAX: usize = 255;

/// Reads `text`, known as `file`, by `read`; notes what is wrong. `None`: it is no TOML, and nothing was read.
pub(super) fn read_file(
    file: &str,
    text: &str,
    problems: &mut Problems,
    read: impl FnOnce(&mut Table),
) -> Option<Source> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        let complaint = Complaint::Syntax(error.message().replace('\n', " "));
        problems.push(Problem { place: Place::Line(file.into(), line), key: String::new(), complaint });
    }
    if !errors.is_empty() {
        return None;
    }
    let mut source = Source::new(file);
    let mut unknown = Vec::new();
    let mut table = Table {
        text,
        source: &mut source,
        problems,
        unknown: &mut unknown,
        path: String::new(),
        entries: root.into_inner(),
        known: Vec::new(),
    };
    read(&mut table);
    table.end();
    for key in unknown {
        let complaint = Complaint::UnknownKey(key.hint(&source));
        problems.push(source.problem(key.path, complaint));
    }
    Some(source)
}

/// A key that nobody asked for.
struct Unknown {
    path: String,
    key: String,
    known: Vec<String>,
}

impl Unknown {
    fn hint(&self, source: &Source) -> KeyHint {
        if let Some(near) = nearest(&self.key, self.known.iter().map(String::as_str)) {
            return KeyHint::Nearest(near.into());
        }
        let same =
            |path: &&String| path.rsplit_once('.').is_some_and(|(_, key)| key == self.key) && **path != self.path;
        match source.keys().find(same) {
            Some(path) => KeyHint::Elsewhere(path.clone()),
            None => KeyHint::Known(self.known.clone()),
        }
    }
}

/// A table being read.
pub(super) struct Table<'f, 't> {
    text: &'t str,
    source: &'f mut Source,
    problems: &'f mut Problems,
    unknown: &'f mut Vec<Unknown>,
    path: String,
    entries: DeTable<'t>,
    known: Vec<String>,
}

impl<'t> Table<'_, 't> {
    /// A number; `what` names it with its unit, as in `a number of bytes`.
    pub fn number<N: TryFrom<i64>>(&mut self, key: &str, into: &mut N, range: RangeInclusive<i64>, what: &str) {
        self.value(key, into, &format!("{what} from {} to {}", range.start(), range.end()), |value| match value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .filter(|number| range.contains(number))
                .and_then(|number| N::try_from(number).ok()),
            _ => None,
        });
    }

    /// True or false.
    pub fn flag(&mut self, key: &str, into: &mut bool) {
        self.value(key, into, "true or false", |value| value.as_bool());
    }

    /// A text of 1 to 255 bytes.
    pub fn text(&mut self, key: &str, into: &mut String) {
        self.value(key, into, "a text of 1 to 255 bytes", |value| {
            value.as_str().filter(|text| (1..=TEXT_BYTES_MAX).contains(&text.len())).map(String::from)
        });
    }

    /// A path.
    pub fn path(&mut self, key: &str, into: &mut PathBuf) {
        self.value(key, into, "a path", |value| value.as_str().filter(|path| !path.is_empty()).map(PathBuf::from));
    }

    /// One of a few words.
    pub fn word<W: Copy>(&mut self, key: &str, into: &mut W, words: &[(&str, W)]) {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.value(key, into, &quoted.join(" or "), |value| {
            let given = value.as_str()?;
            words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning)
        });
    }

    /// A value that `read` understands; `expected` says which it does.
    pub fn value<V>(&mut self, key: &str, into: &mut V, expected: &str, read: impl FnOnce(&DeValue) -> Option<V>) {
        if let Some(value) = self.take(key) {
            match read(value.get_ref()) {
                Some(read) => *into = read,
                None => self.unexpected(key, value.span(), value.get_ref(), expected),
            }
        }
    }

    /// Notes that `key` is missing if it was not there; `right` says what to give. To be called after reading it.
    pub fn require(&mut self, key: &str, right: &'static str) {
        let path = self.path_of(key);
        if !self.source.has(&path) {
            let mut problem = self.source.problem(self.path.clone(), Complaint::Missing(right));
            problem.key = path;
            self.problems.push(problem);
        }
    }

    /// The table under `key`, an empty one if there is none.
    pub fn section(&mut self, key: &str, read: impl FnOnce(&mut Table<'_, 't>)) {
        let entries = match self.take(key) {
            None => DeTable::new(),
            Some(value) => match self.table_in(key, value) {
                Some(entries) => entries,
                None => return,
            },
        };
        self.inner(self.path_of(key), entries, read);
    }

    /// Each of the tables `[[key]]`, with its position.
    pub fn sections(&mut self, key: &str, mut read: impl FnMut(usize, &mut Table<'_, 't>)) {
        let Some(value) = self.take(key) else { return };
        let span = value.span();
        let items = match value.into_inner() {
            DeValue::Array(items) => items,
            other => return self.unexpected(key, span, &other, &format!("one [[{key}]] table for each")),
        };
        for (i, item) in items.into_iter().enumerate() {
            let item_key = format!("{key}[{i}]");
            self.source.found(&self.path_of(&item_key), line_of(self.text, item.span().start));
            if let Some(entries) = self.table_in(&item_key, item) {
                self.inner(self.path_of(&item_key), entries, |table| read(i, table));
            }
        }
    }

    /// Keys that nobody asked for yet, in order.
    pub fn keys_left(&self) -> Vec<String> {
        self.entries.keys().map(|key| key.get_ref().to_string()).collect()
    }

    fn inner(&mut self, path: String, entries: DeTable<'t>, read: impl FnOnce(&mut Table<'_, 't>)) {
        let mut table = Table {
            text: self.text,
            source: self.source,
            problems: self.problems,
            unknown: self.unknown,
            path,
            entries,
            known: Vec::new(),
        };
        read(&mut table);
        table.end();
    }

    fn end(mut self) {
        for (key, _) in std::mem::take(&mut self.entries) {
            let path = self.path_of(key.get_ref());
            self.source.found(&path, line_of(self.text, key.span().start));
            self.unknown.push(Unknown { path, key: key.get_ref().to_string(), known: self.known.clone() });
        }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'t>>> {
        let path = self.path_of(key);
        self.known.push(key.into());
        match self.entries.remove_entry(key) {
            Some((written, value)) => {
                self.source.found(&path, line_of(self.text, written.span().start));
                Some(value)
            }
            None => {
                self.source.absent(&path);
                None
            }
        }
    }

    fn table_in(&mut self, key: &str, value: Spanned<DeValue<'t>>) -> Option<DeTable<'t>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(entries) => Some(entries),
            other => {
                self.unexpected(key, span, &other, "a table");
                None
            }
        }
    }

    fn unexpected(&mut self, key: &str, span: Range<usize>, value: &DeValue, expected: &str) {
        let found = match value {
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
            _ => &self.text[span],
        };
        self.problems.push(self.source.problem(self.path_of(key), Complaint::unexpected(found, expected)));
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.into(),
            path => format!("{path}.{key}"),
        }
    }
}
