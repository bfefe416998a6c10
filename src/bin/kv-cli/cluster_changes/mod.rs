//! `kv-cli cluster`: how the cluster is, and who is in it.
//!
//! Changes are staged, looked at and committed: each of `join`, `leave`, `remove`, `replace` and `set` adds to a list that the
//! coordination service keeps, `plan` says what that would move, `commit` begins exactly that, and `watch` shows it until it is done.
//! `turn-back` takes a change back that runs, `auto-remove` says when the cluster removes a node by itself. All of them may be typed at any node, and go through whichever is connected.

mod ask;
mod auto_remove;
pub mod brief;
mod commit;
mod confirm;
mod estimate;
mod forget;
mod forgettable;
mod names;
mod plan;
mod planned;
pub mod remedies;
mod stage;
mod turn_back;
mod waits;
mod watch;

use clap::Subcommand;

use crate::cluster::Where;
use crate::cluster_status::Status;
use crate::exit::{CliError, Exit};
use crate::output::Output;

pub use ask::Changes;

pub use planned::planned;

/// What can be done with the cluster as a whole.
#[derive(Subcommand, Debug)]
pub enum Cluster {
    Status(Status),
    Join(stage::Join),
    Leave(stage::Leave),
    Remove(stage::Remove),
    Replace(stage::Replace),
    Set(stage::Set),
    Plan(plan::Plan),
    Commit(commit::Commit),
    Clear(stage::Clear),
    Watch(watch::Watch),
    TurnBack(turn_back::TurnBack),
    AutoRemove(auto_remove::AutoRemove),
    Forget(forget::Forget),
}

impl Cluster {
    /// Does it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Cluster::Status(status) => status.run(at, output).await,
            Cluster::Join(join) => join.run(at, output).await,
            Cluster::Leave(leave) => leave.run(at, output).await,
            Cluster::Remove(remove) => remove.run(at, output).await,
            Cluster::Replace(replace) => replace.run(at, output).await,
            Cluster::Set(set) => set.run(at, output).await,
            Cluster::Plan(plan) => plan.run(at, output).await,
            Cluster::Commit(commit) => commit.run(at, output).await,
            Cluster::Clear(clear) => clear.run(at, output).await,
            Cluster::Watch(watch) => watch.run(at, output).await,
            Cluster::TurnBack(turn_back) => turn_back.run(at, output).await,
            Cluster::AutoRemove(auto_remove) => auto_remove.run(at, output).await,
            Cluster::Forget(forget) => forget.run(at, output).await,
        }
    }
}
