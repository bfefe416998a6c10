//! A node: reads its configuration, says what it means, and runs until it is told to stop.

mod args;
mod logging;

use std::process::ExitCode;

use kv::config::Config;

use args::{Arguments, Start};

/// A configuration that cannot be used; as for wrong arguments.
const EXIT_MISUSE: u8 = 2;

fn main() -> ExitCode {
    let Start { config, check_only, scratch } = match Arguments::from_process().start() {
        Ok(start) => start,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_MISUSE);
        }
    };
    if check_only {
        println!("ok\n{}", config.summary());
        return ExitCode::SUCCESS;
    }
    logging::start(config.node.id);
    log::info!("kv-server {}: {}", env!("CARGO_PKG_VERSION"), config.summary());
    if let Some(scratch) = &scratch {
        log::warn!("DEV: a single node; {} is deleted when it stops", scratch.path().display());
    }
    for warning in config.warnings() {
        log::warn!("{warning}");
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the node until it is told to stop.
fn run(config: Config) -> Result<(), NotLinked> {
    drop(config);
    Err(NotLinked)
}

/// The node's actors are not part of this program yet.
#[derive(Debug, thiserror::Error)]
#[error("the node is not linked in yet: this program only checks configurations")]
struct NotLinked;
