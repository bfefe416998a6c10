//! `kv-cli cluster forget`.

use clap::Args;
use kv::wire::change::{ChangeAnswer, ChangeRequest};
use serde_json::json;

use super::ask::{Changes, strange};
use super::confirm;
use super::forgettable::{Known, Named, known, pick};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
A node that is removed counts as absent: should it return, it delivers what only it has. Until then some things wait for it, such as \
reaping what was deleted. Forgetting a store declares its data destroyed: nobody waits for it any more, what only it had is lost, and \
it is refused for ever should it call again. A store that owns partitions has to be removed first.

Examples:
  kv-cli cluster forget 3               the lost store of node 3
  kv-cli cluster forget 21de1251        by its id, or the first digits of that";

/// Declare the data of a lost store destroyed
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Forget {
    /// The number of a node, whose lost store is meant, or at least 8 digits of a store's id
    #[arg(value_name = "NODE|STORE")]
    named: Named,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Forget {
    /// Forgets the one store that is meant.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let known = known(&changes.client).await?;
        let meant = pick(&known, &self.named).map_err(CliError::Usage)?;
        if !output.is_json() {
            output.line(consequences(meant));
        }
        if !confirm::confirmed("Is its data destroyed?", self.yes, output)? {
            note(format_args!("nothing was forgotten"));
            return Ok(Exit::Usage);
        }
        let ChangeAnswer::Forgotten { store, node } = changes.ask(ChangeRequest::Forget { store: meant.store }).await?
        else {
            return Err(strange());
        };
        if output.is_json() {
            output.json(&json!({ "forgotten": store.to_string(), "node": node }));
        } else {
            output.line(format_args!("store {store} of node {node} is forgotten"));
        }
        Ok(Exit::Done)
    }
}

fn consequences(meant: &Known) -> String {
    format!(
        "Store {} of node {} {}.\nForgotten, it is refused for ever; nobody waits for it any more, and what only it had is lost.",
        meant.store,
        meant.node,
        meant.fate()
    )
}
