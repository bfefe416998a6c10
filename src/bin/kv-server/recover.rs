//! `kv-server recover`: says what would be kept, asks, and does it.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use kv::api::recovery::{Recovery, RecoveryError};
use kv::config::Config;
use kv::coordination::nookeeper::store::Recovered;

/// What has to be typed.
const CONFIRMATION: &str = "recover";

/// Does it; what is to be known goes to standard output.
pub fn run(config: &Config, yes: bool) -> ExitCode {
    match recover(config, yes) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("Nothing was changed.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether it was done.
fn recover(config: &Config, yes: bool) -> Result<bool, RecoveryError> {
    let recovery = Recovery::prepare(config)?;
    describe(&recovery);
    if !yes && !is_confirmed() {
        recovery.release()?;
        return Ok(false);
    }
    let (node, own) = (recovery.joined.node, recovery.own);
    let Recovered { last, revision, ended, .. } = recovery.carry_out()?;
    println!(
        "Done: node {node} is the only voter of generation {}. Kept: all up to entry {} of term {}, now at revision {}; {} \
         sessions were ended.\nStart this node first, and when it serves the others; they take part again by themselves.",
        own.generation,
        last.index,
        last.leader_id.term,
        revision.0,
        ended.len()
    );
    Ok(true)
}

fn describe(recovery: &Recovery) {
    let Recovery { joined, own, survey, .. } = recovery;
    let voters = survey.voters.values().map(|voter| format!("node {} at {}", voter.node, voter.address));
    println!(
        "Node {} of cluster '{}' ({}) holds a copy of the coordination service:\n\n\
         \x20 generation  {}\n\
         \x20 voters      {}\n\
         \x20 last entry  {} of term {}\n\
         \x20 revision    {}\n\n\
         To recover by force makes this node the only voter, of generation {}. Do it only if a majority of those voters is lost \
         for good, and only where the last entry is the furthest of all that survive: changes of members, buckets and `coord` \
         that others had beyond it are lost. Data of applications is not touched.\n",
        joined.node,
        joined.name,
        joined.cluster,
        survey.generation,
        Vec::from_iter(voters).join(", "),
        survey.last.index,
        survey.last.leader_id.term,
        survey.revision.0,
        own.generation,
    );
}

fn is_confirmed() -> bool {
    print!("Type '{CONFIRMATION}' to do it: ");
    // What cannot be asked, or answered, is not confirmed.
    let asked = io::stdout().flush();
    let mut line = String::new();
    let answered = asked.and_then(|()| io::stdin().lock().read_line(&mut line));
    println!();
    answered.is_ok() && line.trim() == CONFIRMATION
}
