//! What a line of the log looks like: when, how grave, which node, which part, what.

use std::io::Write;

use env_logger::Env;
use kv::core::id::NodeId;

/// What is logged if RUST_LOG says nothing: of the storage engine's housekeeping only what is wrong.
const FILTER_DEFAULT: &str = "info,fjall=warn,lsm_tree=warn";

/// Starts the log on standard error, as RUST_LOG says. Each line names the node, so that several logs can be read as one.
pub fn start(node: NodeId) {
    env_logger::Builder::from_env(Env::default().default_filter_or(FILTER_DEFAULT))
        .format(move |line, record| {
            let (time, level) = (line.timestamp_millis(), record.level());
            let style = line.default_level_style(level);
            writeln!(line, "{time} {style}{level:<5}{style:#} n{node} {}: {}", record.target(), record.args())
        })
        .init();
}
