//! `kv-cli cluster join`, `leave`, `remove`, `replace`, `set` and `clear`: what is staged.

use clap::Args;
use kv::core::id::NodeId;
use kv::core::ring::change::Action;
use kv::wire::change::{ChangeRequest, StagedReport};
use serde_json::json;

use super::ask::Changes;
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;

const JOIN_HELP: &str = "\
A node that was started with `kv-server --join` is a member that owns nothing and stands in for others. Joining gives it its \
share of the partitions. Nothing moves before `kv-cli cluster commit`.

Examples:
  kv-cli cluster join 4
  kv-cli cluster join 4 5          both in one change, so that nothing moves twice";

/// Stage that nodes which own nothing get their share
#[derive(Args, Debug)]
#[command(after_help = JOIN_HELP)]
pub struct Join {
    /// The numbers of the nodes
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<u32>,
}

impl Join {
    /// Stages it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        stage(at, self.nodes.into_iter().map(|node| Action::Join { node: NodeId(node) }).collect(), output).await
    }
}

const LEAVE_HELP: &str = "\
The node must be alive: it hands over what it owns and drops it, and then it is no member any more and can be stopped. Nothing \
moves before `kv-cli cluster commit`. A node that is lost is removed instead.

Examples:
  kv-cli cluster leave 3";

/// Stage that a node hands over what it owns and goes
#[derive(Args, Debug)]
#[command(after_help = LEAVE_HELP)]
pub struct Leave {
    /// The number of the node
    node: u32,
}

impl Leave {
    /// Stages it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        stage(at, vec![Action::Leave { node: NodeId(self.node) }], output).await
    }
}

const REMOVE_HELP: &str = "\
For a node that is down and does not come back soon: the others copy what it owned from each other. Should it return, it delivers \
what only it has, drops the rest, and owns nothing. Nothing moves before `kv-cli cluster commit`. A node that is alive leaves instead.

Examples:
  kv-cli cluster remove 3";

/// Stage that others take over what a lost node owned
#[derive(Args, Debug)]
#[command(after_help = REMOVE_HELP)]
pub struct Remove {
    /// The number of the node
    node: u32,
}

impl Remove {
    /// Stages it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        stage(at, vec![Action::Remove { node: NodeId(self.node) }], output).await
    }
}

const REPLACE_HELP: &str = "\
The new node gets exactly what the old one owned, and nothing else moves. It must own nothing yet. The old one may be alive or \
down; it goes. Nothing moves before `kv-cli cluster commit`.

Examples:
  kv-cli cluster replace 3 --by 4";

/// Stage that a node which owns nothing takes another one's places
#[derive(Args, Debug)]
#[command(after_help = REPLACE_HELP)]
pub struct Replace {
    /// The number of the node that goes
    node: u32,
    /// The number of the node that comes
    #[arg(long, value_name = "NODE")]
    by: u32,
}

impl Replace {
    /// Stages it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        stage(at, vec![Action::Replace { node: NodeId(self.node), by: NodeId(self.by) }], output).await
    }
}

const SET_HELP: &str = "\
A node owns partitions in proportion to its weight, and the owners of a partition lie in as many zones as there are. What is \
left out stays. Nothing moves before `kv-cli cluster commit`.

Examples:
  kv-cli cluster set 3 --weight 200         twice the share of a node of weight 100
  kv-cli cluster set 3 --zone rack-b";

/// Stage another weight or zone for a node
#[derive(Args, Debug)]
#[command(after_help = SET_HELP)]
#[group(id = "what", required = true, multiple = true, args = ["weight", "zone"])]
pub struct Set {
    /// The number of the node
    node: u32,
    /// Its share, relative to the others'
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// Where it is: nodes of one zone fail together
    #[arg(long, value_name = "Z")]
    zone: Option<String>,
}

impl Set {
    /// Stages it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let Set { node, weight, zone } = self;
        stage(at, vec![Action::Set { node: NodeId(node), weight, zone }], output).await
    }
}

const CLEAR_HELP: &str = "\
A change that was committed goes on; `kv-cli cluster turn-back` takes that back.

Examples:
  kv-cli cluster clear";

/// Forget what is staged
#[derive(Args, Debug)]
#[command(after_help = CLEAR_HELP)]
pub struct Clear {}

impl Clear {
    /// Clears.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let cleared = changes.stage(ChangeRequest::Clear).await?;
        if output.is_json() {
            output.json(&json!(cleared));
        } else if cleared.superseded.is_empty() {
            output.line("nothing was staged");
        } else {
            output.line("not staged any more:");
            cleared.superseded.iter().for_each(|action| output.line(format_args!("  {action}")));
        }
        Ok(Exit::Done)
    }
}

async fn stage(at: Where, actions: Vec<Action>, output: &mut Output) -> Result<Exit, CliError> {
    let changes = Changes::at(&at).await?;
    let mut staged = StagedReport::default();
    for action in actions {
        let superseded = std::mem::take(&mut staged.superseded);
        staged = changes.stage(ChangeRequest::Stage(action)).await?;
        staged.superseded.splice(0..0, superseded);
    }
    if output.is_json() {
        output.json(&json!(staged));
    } else {
        print(&staged, &changes.cluster, output);
    }
    Ok(Exit::Done)
}

fn print(staged: &StagedReport, cluster: &str, output: &mut Output) {
    output.line("staged:");
    staged.actions.iter().for_each(|action| output.line(format_args!("  {action}")));
    // Who stages the same again takes nobody's place.
    let replaced: Vec<_> = staged.superseded.iter().filter(|action| !staged.actions.contains(action)).collect();
    if !replaced.is_empty() {
        output.line("instead of:");
        replaced.iter().for_each(|action| output.line(format_args!("  {action}")));
    }
    output.line(format_args!(
        "Nothing moves yet: `kv-cli{cluster} cluster plan` shows what would, `kv-cli{cluster} cluster commit` begins it."
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_whose_place_is_told() {
        let (join, leave) = (Action::Join { node: NodeId(4) }, Action::Leave { node: NodeId(4) });
        let mut output = Output::new(false);
        print(&StagedReport { version: 2, actions: vec![leave], superseded: vec![join.clone()] }, " -x", &mut output);
        let expected = "staged:\n  node 4 leaves\ninstead of:\n  node 4 joins\nNothing moves yet: `kv-cli -x cluster plan` \
                        shows what would, `kv-cli -x cluster commit` begins it.\n";
        assert_eq!(output.text(), expected);
        let mut output = Output::new(false);
        print(&StagedReport { version: 3, actions: vec![join.clone()], superseded: vec![join] }, "", &mut output);
        assert!(!output.text().contains("instead of"), "{}", output.text());
    }
}
