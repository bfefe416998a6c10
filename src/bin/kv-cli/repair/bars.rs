//! A bar for each node that compares.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kv::core::id::NodeId;

use super::look::Look;
use crate::table::bytes;

/// They grow at a terminal.
pub struct Bars {
    all: MultiProgress,
    nodes: BTreeMap<NodeId, ProgressBar>,
}

impl Bars {
    /// Nothing to be seen yet.
    pub fn new() -> Bars {
        Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()), nodes: BTreeMap::new() }
    }

    /// Shows how far the nodes are.
    pub fn show(&mut self, look: &Look) {
        for (node, report) in look.reports() {
            let bar = self.nodes.entry(node).or_insert_with(|| {
                let style = ProgressStyle::with_template("{prefix:10} {wide_bar} {pos:>6}/{len} {msg}");
                self.all.add(ProgressBar::new(0).with_style(style.expect("a fixed template is valid")))
            });
            bar.set_prefix(format!("node {node}"));
            bar.set_length(report.pairs);
            bar.set_position(report.done);
            bar.set_message(format!("{} in, {} out, {}", report.received, report.sent, bytes(report.bytes)));
        }
    }

    /// Takes them away.
    pub fn end(&self) {
        // A terminal that is gone needs no clearing.
        let _ = self.all.clear();
    }
}
