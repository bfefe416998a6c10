//! `kv-cli cluster watch`.

mod bars;
mod ending;
mod line;
mod look;
mod pace;
mod transfers;

use std::io::IsTerminal;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use self::bars::Bars;
use self::ending::{Ending, ending};
use self::look::Look;
use self::pace::Pace;
use super::ask::Changes;
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

/// Pause between two looks.
const EACH: Duration = Duration::from_secs(1);
/// For so long after the last answer it goes on asking.
const PATIENCE: Duration = Duration::from_secs(30);

const AFTER_HELP: &str = "\
At a terminal bars grow until the change ends; otherwise there is a line each second, or with --json a document on a line. The \
bars are the partitions that come to each node and go from it, with the speed at which it copies. What waits is told with the \
reason. Ctrl-C ends the watching, not \
the change.

Exit code 0 means that the change is done, 3 that it was turned back, 1 that there never was one, 5 that no node answers.

Examples:
  kv-cli cluster watch
  kv-cli cluster watch --json | jq .phases";

/// Show the change that is under way until it ends
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Watch {}

impl Watch {
    /// Watches the change that runs now, or tells of the last one.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut view = View::new(output.is_json());
        let mut watching =
            Watching { changes, pace: Pace::default(), number: None, answered: Instant::now(), told: false };
        loop {
            let look = tokio::select! {
                biased;
                interrupted = &mut interrupt => {
                    view.end();
                    return interrupted.map(|()| Exit::Interrupted).map_err(CliError::Runtime);
                }
                look = watching.next() => look,
            };
            let look = match look {
                Ok(Some(look)) => look,
                Ok(None) => {
                    note(format_args!("no change was ever committed"));
                    return Ok(Exit::NotFound);
                }
                Err(error) => {
                    view.end();
                    return Err(error);
                }
            };
            let ending = ending(watching.number, &look.change);
            watching.number = Some(look.change.number);
            if let Some(Ending { told, exit }) = ending {
                view.end();
                match output.is_json() {
                    true => output.json_line(&look.as_json()),
                    false => output.line(told),
                }
                return Ok(exit);
            }
            view.show(&look, output);
            if !output.flush()? {
                return Ok(Exit::Interrupted);
            }
        }
    }
}

/// Looking again and again, through whichever node answers.
struct Watching {
    changes: Changes,
    pace: Pace,
    /// The change that is watched.
    number: Option<u64>,
    /// When a node answered last.
    answered: Instant,
    /// Whether the operator knows that nobody answers.
    told: bool,
}

impl Watching {
    /// What is to be seen next; `None` if there never was a change. May be dropped and called again.
    async fn next(&mut self) -> Result<Option<Look>, CliError> {
        loop {
            if self.number.is_some() {
                sleep(EACH).await;
            }
            match look::look(&self.changes, &mut self.pace).await {
                Ok(look) => {
                    (self.answered, self.told) = (Instant::now(), false);
                    return Ok(look);
                }
                Err(error) if self.number.is_some() && is_passing(&error) && self.answered.elapsed() < PATIENCE => {
                    if !std::mem::replace(&mut self.told, true) {
                        note(format_args!("note: {error}; trying again for {} s", PATIENCE.as_secs()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_passing(error: &CliError) -> bool {
    matches!(error, CliError::Client(error) if error.retryable())
}

/// Where it is shown.
enum View {
    Bars(Bars),
    Lines,
}

impl View {
    fn new(json: bool) -> View {
        if !json && std::io::stdout().is_terminal() { View::Bars(Bars::new()) } else { View::Lines }
    }

    fn show(&mut self, look: &Look, output: &mut Output) {
        match self {
            View::Bars(bars) => bars.show(look),
            View::Lines if output.is_json() => output.json_line(&look.as_json()),
            View::Lines => output.line(line::line(look)),
        }
    }

    fn end(&mut self) {
        if let View::Bars(bars) = self {
            bars.end();
        }
    }
}
