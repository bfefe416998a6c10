//! `kv-cli coord watch`.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use kv::client::Client;
use kv::wire::tree::{Seen, TreeAnswer, TreeRequest, Watched};
use tokio::time::sleep;

use super::changes::changes;
use super::strange;
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

/// A node is asked again after so long without a change, so that one which went silent is noticed.
const WAIT_MS: u32 = 10_000;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
First comes what is there, then each change until Ctrl-C. No change goes unnoticed, but values between two looks may be \
skipped. When the node that was asked goes away another one is asked. --json prints one document a line.

Examples:
  kv-cli coord watch /config            its data, and its children's coming and going
  kv-cli coord watch /kv/live           who is alive
  kv-cli coord watch /kv --subtree      everything below";

/// Print each change of a node as it comes
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Watch {
    /// The node; it need not be there yet
    path: String,
    /// Watch all that is below it, too
    #[arg(long)]
    subtree: bool,
}

impl Watch {
    /// Watches until Ctrl-C, or until nobody reads any more.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut watching = Watching::new(self.path, self.subtree);
        let mut before = None;
        loop {
            let watched = tokio::select! {
                biased;
                interrupted = &mut interrupt => return interrupted.map(|()| Exit::Done).map_err(CliError::Runtime),
                watched = watching.next(&client) => watched?,
            };
            for change in changes(&watching.path, before.as_ref(), &watched) {
                change.print(watched.seen.revision, output);
            }
            if !output.flush()? {
                return Ok(Exit::Done);
            }
            before = Some(watched);
        }
    }
}

/// A watch that goes on with whichever node answers.
pub struct Watching {
    path: String,
    subtree: bool,
    seen: Option<Seen>,
    /// Whether the user knows that nobody answers.
    told: bool,
}

impl Watching {
    /// Nothing seen yet.
    pub fn new(path: String, subtree: bool) -> Watching {
        Watching { path, subtree, seen: None, told: false }
    }

    /// Beginning at that revision, whoever is asked: nothing older is shown.
    pub fn since(path: String, revision: u64) -> Watching {
        // Of nothing, so that the first answer comes at once.
        let seen = Seen { revision, digest: 0 };
        Watching { seen: Some(seen), ..Watching::new(path, false) }
    }

    /// What there is, as soon as it differs from what was seen last. Once there was an answer it tries for ever. May be
    /// dropped and called again.
    pub async fn next(&mut self, client: &Client) -> Result<Watched, CliError> {
        loop {
            let (path, subtree, seen) = (self.path.clone(), self.subtree, self.seen);
            match client.tree(TreeRequest::Watch { path, subtree, seen, wait_ms: WAIT_MS }).await {
                Ok(TreeAnswer::Watched(watched)) => {
                    (self.seen, self.told) = (Some(watched.seen), false);
                    return Ok(watched);
                }
                Ok(TreeAnswer::Unchanged) => self.told = false,
                Ok(_) => return Err(strange()),
                Err(error) if self.seen.is_some() && error.retryable() => {
                    if !std::mem::replace(&mut self.told, true) {
                        note(format_args!("note: {error}; trying again"));
                    }
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
