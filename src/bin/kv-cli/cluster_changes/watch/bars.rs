//! A look as bars that grow at a terminal.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kv::core::id::StoreId;
use kv::wire::change::StoreProgress;

use super::look::Look;
use super::transfers::speed;
use crate::cluster_changes::brief;
use crate::table::uptime;

/// Reasons that are shown at once.
const WAITS_SHOWN: usize = 4;

/// One for the whole change, two at most for each store, and a text below.
pub struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    stores: BTreeMap<(StoreId, bool), ProgressBar>,
    waits: ProgressBar,
}

impl Bars {
    /// Nothing to be seen yet.
    pub fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let total = all.add(ProgressBar::new(0).with_style(style("{prefix}\n{wide_bar} {pos}/{len}\n{msg}")));
        let waits = all.add(ProgressBar::new(0).with_style(style("{msg}")));
        Bars { all, total, stores: BTreeMap::new(), waits }
    }

    /// Shows it.
    pub fn show(&mut self, look: &Look) {
        let change = &look.change;
        let left = look.left.map_or(String::new(), |left| format!(", about {} left", uptime(left.as_secs())));
        self.total.set_prefix(format!("{}, {}", brief::told(change), brief::origin(change)));
        self.total.set_length(u64::from(brief::total(&change.phases)));
        self.total.set_position(u64::from(change.phases.done));
        self.total.set_message(format!("ring epoch {}{left}", change.epoch));
        for StoreProgress { store, node, is_live, arrived, drained } in &change.stores {
            let down = if *is_live { "" } else { ", down" };
            let speed = look.transfers.get(node).and_then(speed).unwrap_or_default();
            self.grow((*store, true), &format!("node {node} gets{down}"), *arrived, &speed);
            self.grow((*store, false), &format!("node {node} gives up{down}"), *drained, "");
        }
        let mut waits = look.waits.clone();
        if waits.len() > WAITS_SHOWN {
            waits.truncate(WAITS_SHOWN);
            waits.push("...".into());
        }
        self.waits.set_message(waits.join("\n"));
    }

    fn grow(&mut self, of: (StoreId, bool), prefix: &str, (done, all): (u32, u32), message: &str) {
        if all == 0 {
            return;
        }
        let bar = self.stores.entry(of).or_insert_with(|| {
            let bar = ProgressBar::new(0).with_style(style("{prefix:24} {wide_bar} {pos:>6}/{len} {msg}"));
            self.all.insert_before(&self.waits, bar)
        });
        bar.set_prefix(prefix.to_string());
        bar.set_length(u64::from(all));
        bar.set_position(u64::from(done));
        bar.set_message(message.to_string());
    }

    /// Takes them away.
    pub fn end(&self) {
        // A terminal that is gone needs no clearing.
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a fixed template is valid")
}
