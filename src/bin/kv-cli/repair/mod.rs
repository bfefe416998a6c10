//! `kv-cli repair`.

mod bars;
mod look;

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::{Inspect, Inspection};
use tokio::time::sleep;

use self::bars::Bars;
use self::look::Look;
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};

/// Pause between two looks.
const EACH: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
Each node compares what it owns with the other owners, one of each two, and both get what they lack. Nodes do so by themselves, in \
rounds and whenever something may be missing; this is for whoever does not want to wait. The work goes on on the nodes: Ctrl-C ends \
the watching alone. At a terminal bars grow, otherwise there is a line for each look, or with --json a document.
Exit code 0 means that all was compared, 3 that something could not be because a node is down.

Examples:
  kv-cli repair
  kv-cli repair --node 2
  kv-cli repair --bucket sessions --json | jq .received";

/// Compare the owners of all partitions now, and bring them what they lack
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Repair {
    /// Only the keys of this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Only this node, with all others that own what it owns
    #[arg(long, value_name = "ID")]
    node: Option<u32>,
}

impl Repair {
    /// Starts it everywhere, or on one node, and watches until it is over.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let (nodes, missing) = self.start(&client).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut bars = (!output.is_json() && std::io::stdout().is_terminal()).then(Bars::new);
        let (mut look, mut shown) = (Look::begin(nodes), None);
        loop {
            tokio::select! {
                biased;
                interrupted = &mut interrupt => {
                    bars.iter().for_each(Bars::end);
                    return interrupted.map(|()| Exit::Interrupted).map_err(CliError::Runtime);
                }
                () = look.refresh(&client) => {}
            }
            if look.is_over() {
                break;
            }
            match &mut bars {
                Some(bars) => bars.show(&look),
                None if shown.as_ref() == Some(&look) => {}
                None if output.is_json() => output.json_line(&look.as_json()),
                None => output.line(look.line()),
            }
            shown = Some(look.clone());
            if !output.flush()? {
                return Ok(Exit::Interrupted);
            }
            sleep(EACH).await;
        }
        bars.iter().for_each(Bars::end);
        match output.is_json() {
            true => output.json_line(&look.as_json()),
            false => output.line(look.summary()),
        }
        look.reasons().iter().chain(&missing).for_each(|reason| note(format_args!("note: {reason}")));
        Ok(if look.is_complete() && missing.is_empty() { Exit::Done } else { Exit::QuorumNotMet })
    }

    /// Who has begun, and why others have not.
    async fn start(&self, client: &Client) -> Result<(Vec<NodeId>, Vec<String>), CliError> {
        let what = Inspect::Repair { bucket: self.bucket.clone(), all: self.node.is_some() };
        if let Some(node) = self.node {
            client.inspect(NodeId(node), what).await?;
            return Ok((vec![NodeId(node)], vec![]));
        }
        let (mut begun, mut missing) = (vec![], vec![]);
        for (member, told) in ask_all(client, what).await {
            match told {
                Ok(Inspection::Repairing { .. }) => begun.push(member.node),
                other => missing.push(format!("node {} compares nothing: {}", member.node, trouble(&other))),
            }
        }
        Ok((begun, missing))
    }
}
