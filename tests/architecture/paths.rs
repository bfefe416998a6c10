//! Every path that a source file names, as far as that can be told without a compiler.
//!
//! Comments and literals are skipped, `use` trees are unfolded, and `self`, `super` and inline modules are followed, so that
//! `super::super::node` in `src/core/ring/mod.rs` is told as `crate::node`. What macros build is not seen.

/// A path with at least two parts, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Line, counted from one.
    pub line: usize,
    /// Its parts, joined with `::`; absolute where it began with `crate`, `self` or `super`.
    pub path: String,
}

/// All paths in `source`, the text of the module `module` (`crate::core::ring`).
pub fn named(module: &str, source: &str) -> Vec<Named> {
    let tokens = tokens(source);
    let mut walk = Walk { tokens: &tokens, at: 0, modules: vec![], braces: 0, named: vec![] };
    let module: Vec<&str> = module.split("::").collect();
    while walk.at < tokens.len() {
        walk.step(&module);
    }
    walk.named
}

/// The module that a file under `src` is.
pub fn module_of(file: &str) -> String {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod").replace('/', "::");
    if path == "lib" { "crate".into() } else { format!("crate::{path}") }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

impl Token<'_> {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

struct Walk<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// Inline modules around, each with the depth of braces at which it ends.
    modules: Vec<(&'a str, usize)>,
    braces: usize,
    named: Vec<Named>,
}

impl<'a> Walk<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn step(&mut self, module: &[&'a str]) {
        match self.text(0) {
            "mod" if self.text(2) == "{" => {
                self.modules.push((self.text(1), self.braces));
                self.at += 2;
            }
            "use" => {
                self.at += 1;
                self.tree(module, &[]);
            }
            "{" => {
                self.braces += 1;
                self.at += 1;
            }
            "}" => {
                self.braces = self.braces.saturating_sub(1);
                if self.modules.last().is_some_and(|(_, depth)| *depth == self.braces) {
                    self.modules.pop();
                }
                self.at += 1;
            }
            _ if self.tokens[self.at].is_word() && self.text(1) == "::" => {
                let (line, mut parts) = (self.tokens[self.at].line, vec![self.text(0)]);
                while self.text(1) == "::" && self.tokens.get(self.at + 2).is_some_and(Token::is_word) {
                    self.at += 2;
                    parts.push(self.text(0));
                }
                self.at += 1;
                self.name(module, line, &parts);
            }
            _ => self.at += 1,
        }
    }

    /// One branch of a `use`, begun with `stem`.
    fn tree(&mut self, module: &[&'a str], stem: &[&'a str]) {
        let mut parts = stem.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while self.at < self.tokens.len() {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        self.tree(module, &parts);
                        self.at += usize::from(self.text(0) == ",");
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "*" => {
                    parts.push("*");
                    self.at += 1;
                }
                word if self.tokens[self.at].is_word() => {
                    parts.push(word);
                    self.at += 1;
                }
                _ => break,
            }
        }
        self.name(module, line, &parts);
    }

    fn name(&mut self, module: &[&str], line: usize, parts: &[&str]) {
        let mut here: Vec<&str> = module.iter().copied().chain(self.modules.iter().map(|(name, _)| *name)).collect();
        let relative = parts.iter().take_while(|part| matches!(**part, "self" | "super")).count();
        let ups = parts[..relative].iter().filter(|part| **part == "super").count();
        here.truncate(here.len().saturating_sub(ups));
        let prefix = if relative > 0 { here.as_slice() } else { &[] };
        let path: Vec<&str> = prefix.iter().chain(&parts[relative..]).copied().collect();
        self.named.push(Named { line, path: path.join("::") });
    }
}

/// Words, `::` and single signs; no comments, no literals.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = vec![];
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if c.is_alphabetic() || c == '_' => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                if let Some(raw) = raw_string(rest, word) { raw } else { word }
            }
            c if c.is_numeric() => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            '"' => quoted(rest, '"'),
            // A character; else the tick of a lifetime, which is no more than a sign.
            '\'' if rest[1..].starts_with('\\') => quoted(rest, '\''),
            '\'' => {
                let character = rest[1..].chars().next().map_or(0, char::len_utf8);
                if rest[1 + character..].starts_with('\'') { character + 2 } else { 1 }
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let text = &rest[..length];
        let is_word = first.is_alphabetic() || first == '_';
        let is_sign = matches!(first, '{' | '}' | ',' | ';' | '*' | '(' | ')' | '<' | '>' | '#' | '[' | ']' | '=');
        if (is_word && !text.contains('"')) || is_sign || text == "::" {
            found.push(Token { line, text });
        }
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of `r"…"` or `br#"…"#`, if the word of this length begins one.
fn raw_string(rest: &str, word: usize) -> Option<usize> {
    let hashes = rest[word..].chars().take_while(|&c| c == '#').count();
    let opens = matches!(&rest[..word], "r" | "br") && rest[word + hashes..].starts_with('"');
    let closing = format!("\"{}", "#".repeat(hashes));
    let body = word + hashes + 1;
    opens.then(|| rest[body..].find(&closing).map_or(rest.len(), |end| body + end + closing.len()))
}

/// The length of a literal between two of these quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    rest.len()
}
