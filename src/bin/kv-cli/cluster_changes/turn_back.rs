//! `kv-cli cluster turn-back`.

use clap::Args;
use kv::core::ring::change::Direction;
use kv::wire::change::{ChangeAnswer, ChangeReport, ChangeRequest};
use serde_json::json;

use super::ask::{Changes, strange};
use super::{brief, confirm};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
Every partition goes back to the owners that it had, by the same steps: nothing is lost, and requests go on. What was copied \
already is dropped again. Exit code 1 means that no change is under way.

Examples:
  kv-cli cluster turn-back
  kv-cli cluster turn-back --yes && kv-cli cluster watch";

/// Take the change back that is under way
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct TurnBack {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl TurnBack {
    /// Turns back what was shown.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let Some(change) = changes.progress().await?.filter(|change| change.ended_ms.is_none()) else {
            note(format_args!("no change is under way"));
            return Ok(Exit::NotFound);
        };
        if change.direction == Direction::TurningBack {
            note(format_args!("{}", brief::told(&change)));
        } else {
            if !output.is_json() {
                output.line(format_args!("{}, {}", brief::told(&change), brief::origin(&change)));
            }
            if !confirm::confirmed("Turn it back?", self.yes, output)? {
                note(format_args!("nothing was turned back"));
                return Ok(Exit::Usage);
            }
        }
        let number = change.number;
        let turned = match changes.ask(ChangeRequest::TurnBack { number }).await? {
            ChangeAnswer::Change(Some(turned)) => turned,
            _ => return Err(strange()),
        };
        print(number, &turned, &changes.cluster, output);
        Ok(Exit::Done)
    }
}

fn print(number: u64, turned: &ChangeReport, cluster: &str, output: &mut Output) {
    if output.is_json() {
        output.json(&json!({ "turned_back": number, "ended": turned.number != number || turned.ended_ms.is_some() }));
    } else {
        output.line(format_args!("change {number} is turned back; `kv-cli{cluster} cluster watch` shows it"));
    }
}
