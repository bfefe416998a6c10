//! What is staged, with all that is to be known of it: what would move, how few replicas could, how many bytes that is.

use std::time::Duration;

use kv::client::Client;
use kv::core::ring::assign::Explanation;
use kv::wire::change::PlanReport;
use kv::wire::report::{Inspect, Inspection, RingReport};
use tokio::time::sleep;

use super::ask::{Changes, strange};
use super::estimate::partition_bytes;
use crate::exit::CliError;
use crate::ring::explained;
use crate::status::ask_all;

/// How often it is tried to find plan and ring at the same epoch: a node may learn a new ring a moment later.
const ATTEMPTS: u32 = 10;
/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// A plan, explained.
pub struct Planned {
    /// What the nodes say of it.
    pub plan: PlanReport,
    /// Why it is so; `None` while a change runs, because the plan begins where that ends, or if the ring changes all the time.
    pub explanation: Option<Explanation>,
    /// About how many bytes a copy of a partition has, where nodes could be asked.
    pub partition_bytes: Option<u64>,
}

impl Planned {
    /// About how many bytes are copied to a node that gets so many partitions.
    pub fn bytes(&self, partitions: usize) -> Option<u64> {
        Some(self.partition_bytes?.saturating_mul(partitions as u64))
    }
}

/// Works out what is staged.
pub async fn planned(changes: &Changes) -> Result<Planned, CliError> {
    let partition_bytes =
        partition_bytes(&changes.client.ring().ring, &ask_all(&changes.client, Inspect::Status).await);
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let plan = changes.plan().await?;
        let ring = ring(&changes.client).await?.ring;
        let is_last = attempts.next().is_none();
        let explanation =
            (plan.running.is_none() && plan.epoch == ring.epoch).then(|| explained::planned(&plan, &ring)).flatten();
        if explanation.is_some() || plan.running.is_some() || is_last {
            return Ok(Planned { plan, explanation, partition_bytes });
        }
        sleep(PAUSE).await;
    }
}

async fn ring(client: &Client) -> Result<RingReport, CliError> {
    match client.inspect_any(Inspect::Ring).await? {
        Inspection::Ring(report) => Ok(report),
        _ => Err(strange()),
    }
}
