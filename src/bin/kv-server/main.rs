//! A node: reads its configuration, says what it means, and runs until it is told to stop.

mod args;
mod logging;
mod recover;

use std::process::ExitCode;

use args::{Action, Arguments, Start};

/// A configuration that cannot be used; as for wrong arguments.
const EXIT_MISUSE: u8 = 2;

fn main() -> ExitCode {
    let Start { config, action, scratch } = match Arguments::from_process().start() {
        Ok(start) => start,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_MISUSE);
        }
    };
    match action {
        Action::Run => {}
        Action::Check => {
            println!("ok\n{}", config.summary());
            return ExitCode::SUCCESS;
        }
        Action::Recover { yes } => return recover::run(&config, yes),
    }
    logging::start(config.node.id);
    log::info!("kv-server {}: {}", env!("CARGO_PKG_VERSION"), config.summary());
    if let Some(scratch) = &scratch {
        log::warn!("DEV: a single node; {} is deleted when it stops", scratch.path().display());
    }
    for warning in config.warnings() {
        log::warn!("{warning}");
    }
    match kv::api::process::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
