//! `kv-cli cluster auto-remove`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use kv::wire::change::{ChangeAnswer, ChangeRequest};
use serde_json::json;

use super::ask::{Changes, strange};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::options::duration;
use crate::output::Output;
use crate::table::uptime;

const AFTER_HELP: &str = "\
A node that is down for so long is taken to be gone: the others copy what it owned. That happens to one node at a time, and only \
while all other owners of its partitions are alive; `kv-cli cluster status` says when, or why not. A cluster begins with what its \
configuration says (auto_remove_after, 30m if it says nothing).

Examples:
  kv-cli cluster auto-remove 2h
  kv-cli cluster auto-remove never";

/// Set when a node that is down is removed without an operator
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct AutoRemove {
    /// A time such as 30m, at least 1s, or never
    after: After,
}

/// When that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct After(Option<Duration>);

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<After, String> {
        match text {
            "never" => Ok(After(None)),
            text => match duration(text)? {
                short if short < Duration::from_secs(1) => Err("must be at least 1s".into()),
                after => Ok(After(Some(after))),
            },
        }
    }
}

impl AutoRemove {
    /// Sets it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let after_ms = self.after.0.map(millis);
        let ChangeAnswer::AutoRemove { after_ms } = changes.ask(ChangeRequest::AutoRemove { after_ms }).await? else {
            return Err(strange());
        };
        match after_ms {
            _ if output.is_json() => output.json(&json!({ "auto_remove_after_ms": after_ms })),
            Some(ms) => output.line(format_args!("a node that is down for {} is removed", uptime(ms / 1000))),
            None => output.line("no node is removed without an operator"),
        }
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_never() {
        assert_eq!("never".parse(), Ok(After(None)));
        assert_eq!("30m".parse(), Ok(After(Some(Duration::from_secs(1_800)))));
        for wrong in ["", "500ms", "soon", "-1s"] {
            assert!(wrong.parse::<After>().is_err(), "{wrong}");
        }
    }
}
