//! How far an export or an import is: a bar on standard error if that is a terminal, and the figures at the end.

use std::fmt;
use std::time::Instant;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Figures that grow.
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    keys: u64,
    bytes: u64,
}

impl Progress {
    /// Of an export, which goes through partitions.
    pub fn of_partitions() -> Progress {
        Progress::new(ProgressBar::new(0), "{wide_bar} {pos}/{len} partitions, {msg}")
    }

    /// Of an import from a file of so many bytes; of a stream if that is not known.
    pub fn of_bytes(total: Option<u64>) -> Progress {
        match total {
            Some(total) => {
                Progress::new(ProgressBar::new(total), "{wide_bar} {bytes}/{total_bytes}, {msg}, {eta} left")
            }
            None => Progress::new(ProgressBar::new_spinner(), "{spinner} {bytes}, {msg}"),
        }
    }

    fn new(bar: ProgressBar, template: &str) -> Progress {
        let style = ProgressStyle::with_template(template).expect("a fixed template is valid");
        Progress { bar: bar.with_style(style), began: Instant::now(), keys: 0, bytes: 0 }
    }

    /// At `position` of `length`, after so many more keys and bytes.
    pub fn advance(&mut self, position: u64, length: u64, keys: u64, bytes: u64) {
        self.bar.set_length(length);
        self.bar.set_position(position);
        self.add(keys, bytes);
    }

    /// So many bytes further in the file, and so many more keys.
    pub fn advance_by(&mut self, bytes: u64, keys: u64) {
        self.bar.inc(bytes);
        self.add(keys, bytes);
    }

    /// A line for people, without tearing the bar.
    pub fn say(&self, line: fmt::Arguments) {
        self.bar.suspend(|| crate::output::note(line));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn add(&mut self, keys: u64, bytes: u64) {
        self.keys += keys;
        self.bytes += bytes;
        let rate = self.bytes as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} keys, {}/s", HumanCount(self.keys), HumanBytes(rate as u64)));
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let seconds = self.began.elapsed().as_secs_f64();
        write!(f, "{} keys, {} in {seconds:.1} s", self.keys, HumanBytes(self.bytes))
    }
}
