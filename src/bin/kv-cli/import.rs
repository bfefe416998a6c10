//! `kv-cli import`.
//!
//! Lines are read ahead by one and written many at a time; how many, and how many bytes of them, is bounded. Each is done by itself,
//! so an import that was stopped can go on at any line.

use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::{Where, quoted};
use crate::exit::{CliError, Exit};
use crate::export_progress::Progress;
use crate::import_line::{Done, Trouble, import};
use crate::import_lines::{Line, lines};
use crate::output::{Output, note};

/// Bytes of lines that are being written, at most; one line may always.
const BYTES_IN_FLIGHT_MAX: u64 = 64 << 20;

/// So many lines that the cluster refuses, one after the other, and it is not worth going on.
const REFUSED_MAX: u64 = 100;

const AFTER_HELP: &str = "\
FILE holds the lines that `kv-cli export` writes, - is standard input. Values replace what is there; siblings come back \
as siblings, lifetimes go on, and what has expired is left out. Each line is a write of its own, with its bucket's w. \
Importing the same file twice is the same as once.

A line that cannot be written at the moment is tried again. One that fails for good is reported with its number, and the \
others go on; the exit code is then the highest of all lines. Where no node can be reached, or 100 lines in a row fail for \
what the cluster lacks, it ends early. So it does with Ctrl-C, after finishing what is being written; twice, at once. It \
then says where to go on.

Examples:
  kv-cli import default.jsonl
  zcat carts.jsonl.gz | kv-cli import -
  kv-cli import default.jsonl --skip-existing    only keys that have no value yet
  kv-cli import default.jsonl --from-line 5001   go on after line 5000";

/// Write keys and values from a file
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Import {
    /// What `kv-cli export` wrote; - is standard input
    file: PathBuf,
    /// Leave keys alone that have a value
    #[arg(long)]
    skip_existing: bool,
    /// Begin with this line
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
    /// Lines written at the same time
    #[arg(long, value_name = "LINES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
}

/// What came of all lines.
#[derive(Default)]
struct Tally {
    keys: u64,
    values: u64,
    skipped: u64,
    expired: u64,
    failed: u64,
    /// Lines that the cluster did not take, since the last that it took.
    refused: u64,
    /// The first of these.
    first_refused: Option<u64>,
    /// The highest exit code of those that failed.
    exit: Option<Exit>,
    /// The last line that was taken.
    last: u64,
}

impl Import {
    /// Imports, line by line.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let file_trouble =
            |error: std::io::Error| CliError::File { path: self.file.display().to_string(), reason: error.to_string() };
        let (mut lines, length) = lines(&self.file, self.from_line).map_err(file_trouble)?;
        let client = at.connect(None).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut progress = Progress::of_bytes(length);
        let (mut tally, mut bytes) = (Tally::default(), 0);
        let mut running = JoinSet::<(u64, u64, Result<Done, Trouble>)>::new();
        let (mut reading, mut interrupted, mut stopped) = (true, false, false);
        while reading || !running.is_empty() {
            let has_room = running.is_empty() || running.len() < self.concurrency.into() && bytes < BYTES_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                heard = &mut interrupt => {
                    heard.map_err(CliError::Runtime)?;
                    if interrupted {
                        break;
                    }
                    (reading, interrupted) = (false, true);
                    interrupt.set(tokio::signal::ctrl_c());
                }
                Some(done) = running.join_next() => {
                    let (number, length, result) = done.map_err(|error| CliError::Runtime(error.into()))?;
                    bytes -= length;
                    progress.advance_by(length, u64::from(result.is_ok()));
                    let exit = tally.note(number, result, &progress);
                    stopped |= exit == Exit::CannotConnect || tally.refused >= REFUSED_MAX;
                    reading &= !stopped;
                }
                line = lines.recv(), if reading && has_room => match line {
                    Some(Line { number, bytes: length, text }) => {
                        tally.last = number;
                        bytes += length;
                        let (client, skip_existing) = (client.clone(), self.skip_existing);
                        running.spawn(async move { (number, length, import(&client, text, skip_existing).await) });
                    }
                    None => reading = false,
                },
            }
        }
        progress.end();
        if !running.is_empty() {
            note(format_args!("{} lines up to {} may be written or not", running.len(), tally.last));
        }
        if interrupted || stopped {
            self.tell_where_to_go_on(&tally, &at);
        }
        tally.print(&progress, output);
        Ok(tally.exit.unwrap_or(if interrupted { Exit::Interrupted } else { Exit::Done }))
    }

    fn tell_where_to_go_on(&self, tally: &Tally, at: &Where) {
        let last = tally.last.max(self.from_line - 1);
        let next = tally.first_refused.unwrap_or(last + 1);
        note(format_args!("stopped after line {last}. To go on:"));
        let (file, cluster) = (quoted(&self.file.display().to_string()), at.as_arguments(None));
        let skip = if self.skip_existing { " --skip-existing" } else { "" };
        note(format_args!("  kv-cli import {file} --from-line {next}{skip}{cluster}"));
    }
}

impl Tally {
    /// Counts a line, and tells of one that failed; its exit code.
    fn note(&mut self, number: u64, result: Result<Done, Trouble>, progress: &Progress) -> Exit {
        match result {
            Ok(Done::Written(values)) => (self.keys, self.values) = (self.keys + 1, self.values + values),
            Ok(Done::Skipped) => self.skipped += 1,
            Ok(Done::Expired) => self.expired += 1,
            Err(trouble) => {
                let exit = trouble.exit();
                progress.say(format_args!("line {number}: {trouble}"));
                self.failed += 1;
                if exit != Exit::Usage {
                    self.refused += 1;
                    self.first_refused = Some(self.first_refused.map_or(number, |first| first.min(number)));
                }
                self.exit = self.exit.max(Some(exit));
                return exit;
            }
        }
        (self.refused, self.first_refused) = (0, None);
        Exit::Done
    }

    fn print(&self, progress: &Progress, output: &mut Output) {
        let Tally { keys, values, skipped, expired, failed, .. } = self;
        if output.is_json() {
            return output.json(&json!({
                "keys": keys, "values": values, "skipped": skipped, "expired": expired, "failed": failed,
            }));
        }
        let others = [(skipped, "skipped"), (expired, "expired"), (failed, "failed")];
        let others = others.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!(", {count} {what}"));
        output.line(format_args!(
            "imported {keys} keys with {values} values{}; read {progress}",
            others.collect::<String>()
        ));
    }
}
