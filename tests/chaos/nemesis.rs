//! Makes go wrong what the schedule says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::disk::SmallDisk;
use crate::network::Network;
use crate::process::Cluster;
use crate::schedule::{Fault, Round};

/// How often processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What is left on a disk that is nearly full: less than `storage.disk_free_bytes_min`.
const NEARLY_FULL_LEFT: u64 = 24 << 20;
/// Until a full disk is emptied again nothing that a node does can help it; afterwards this is what an operator waits.
const EMPTIED_BEFORE_RESTART: Duration = Duration::from_millis(500);

/// Who strikes, and what can be struck.
pub struct Nemesis {
    /// The processes.
    pub cluster: Cluster,
    /// What is between them.
    pub network: Network,
    /// The disk that can be filled, and the node that lives on it. Unmounted when the processes have ended.
    pub small_disk: Option<(u32, SmallDisk)>,
    /// How often what was done.
    pub counts: BTreeMap<&'static str, u64>,
    /// The most kilobytes of memory that a process had in use.
    pub resident_kb_max: u64,
}

impl Nemesis {
    /// Strikes for a round, at the end of which everything is as it should be, though nodes may not serve yet.
    ///
    /// # Errors
    /// If a process has ended by itself, or cannot be struck.
    pub async fn strike(&mut self, round: &Round) -> Result<(), String> {
        let began = Instant::now();
        let mut deeds: Vec<(Duration, bool, usize)> = vec![];
        for (number, strike) in round.strikes.iter().enumerate() {
            deeds.extend([(strike.from, true, number), (strike.until, false, number)]);
        }
        deeds.sort_unstable();
        for (at, begins, number) in deeds {
            self.watch_until(began + at).await?;
            let fault = &round.strikes[number].fault;
            if begins {
                *self.counts.entry(fault.name()).or_default() += 1;
                self.begin(number, fault).map_err(|error| format!("{fault:?}: {error}"))?;
            } else {
                self.end(number, fault).await.map_err(|error| format!("the end of {fault:?}: {error}"))?;
            }
        }
        self.watch_until(began + round.length).await
    }

    /// Looks at the processes for ever.
    ///
    /// # Errors
    /// If one has ended by itself.
    pub async fn watch(&mut self) -> Result<Infallible, String> {
        loop {
            self.look()?;
            sleep(LOOK_EVERY).await;
        }
    }

    async fn watch_until(&mut self, then: Instant) -> Result<(), String> {
        timeout_at(then, self.watch()).await.map_or(Ok(()), |ended| ended.map(|never| match never {}))
    }

    fn look(&mut self) -> Result<(), String> {
        if let Some((node, status)) = self.cluster.ended() {
            return Err(format!("node {node} has ended by itself: {status}"));
        }
        let resident = self.cluster.running.values().filter_map(|process| resident_kb(process.id())).max();
        self.resident_kb_max = self.resident_kb_max.max(resident.unwrap_or(0));
        Ok(())
    }

    fn begin(&mut self, number: usize, fault: &Fault) -> std::io::Result<()> {
        match fault {
            Fault::Kill(nodes) => self.cluster.kill(nodes),
            Fault::Pause(nodes) => nodes.iter().for_each(|node| self.cluster.pause(*node)),
            Fault::Wipe(node) => {
                self.cluster.kill(&[*node]);
                self.cluster.wipe(*node);
            }
            Fault::NearlyFullDisk => self.disk().fill(NEARLY_FULL_LEFT)?,
            Fault::FullDisk => self.disk().fill(0)?,
            Fault::Split(_) | Fault::Cut(..) | Fault::Deaf(..) | Fault::Slow(..) => {
                self.network.begin(number, fault.clone());
            }
        }
        Ok(())
    }

    async fn end(&mut self, number: usize, fault: &Fault) -> std::io::Result<()> {
        match fault {
            Fault::Kill(nodes) => nodes.iter().for_each(|node| self.cluster.run(*node)),
            Fault::Pause(nodes) => nodes.iter().for_each(|node| self.cluster.resume(*node)),
            Fault::Wipe(node) => self.cluster.run(*node),
            Fault::NearlyFullDisk => self.disk().empty()?,
            Fault::FullDisk => {
                self.disk().empty()?;
                sleep(EMPTIED_BEFORE_RESTART).await;
                let (node, _) = self.small_disk.as_ref().expect("it was filled");
                self.cluster.kill(&[*node]);
                self.cluster.run(*node);
            }
            Fault::Split(_) | Fault::Cut(..) | Fault::Deaf(..) | Fault::Slow(..) => self.network.end(number),
        }
        Ok(())
    }

    fn disk(&self) -> &SmallDisk {
        &self.small_disk.as_ref().expect("no schedule fills a disk that is not there").1
    }

    /// Bytes that all processes have said.
    pub fn log_bytes(&self) -> u64 {
        let sizes = self.cluster.ids().into_iter().filter_map(|node| fs::metadata(self.cluster.log_path(node)).ok());
        sizes.map(|file| file.len()).sum()
    }
}

/// The most that a process had in use, if it lives.
fn resident_kb(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
