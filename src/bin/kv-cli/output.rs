//! Standard output and standard error.
//!
//! What a command prints is collected and written at once. Whoever reads it may have gone (`| head`): that ends the
//! program quietly, never with a panic.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::CliError;

/// What goes to standard output.
pub struct Output {
    json: bool,
    bytes: Vec<u8>,
}

impl Output {
    /// Nothing yet.
    pub fn new(json: bool) -> Output {
        Output { json, bytes: Vec::new() }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A line of text.
    pub fn line(&mut self, line: impl fmt::Display) {
        self.bytes.extend_from_slice(format!("{line}\n").as_bytes());
    }

    /// A JSON document.
    pub fn json(&mut self, document: &impl Serialize) {
        let text = serde_json::to_string_pretty(document).expect("reports have text keys and serialize into memory");
        self.line(text);
    }

    /// A JSON document on a line of its own, for output that goes on and on.
    pub fn json_line(&mut self, document: &serde_json::Value) {
        self.line(document);
    }

    /// Writes what there is, for a command that has not ended yet; says whether anybody still reads.
    pub fn flush(&mut self) -> Result<bool, CliError> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.bytes).and_then(|()| stdout.flush());
        self.bytes.clear();
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(CliError::Output(error)),
        }
    }

    /// What was collected, for tests.
    #[cfg(test)]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Writes everything.
    pub fn print(mut self) -> Result<(), CliError> {
        self.flush().map(drop)
    }
}

/// A line on standard error. If that is closed there is nobody to tell.
pub fn note(line: fmt::Arguments) {
    let _ = writeln!(io::stderr(), "{line}");
}
