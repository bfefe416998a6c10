//! What keeps the list of members: the section `[coordination]`.

use std::fmt;
use std::ops::RangeInclusive;

use crate::core::id::NodeId;
use crate::wire::servers::split_address;

use super::cluster::ClusterConfig;
use super::complaint::Complaint;
use super::duration::{parse_ms, show_ms};
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

/// Bytes of the text that lists ZooKeeper's servers.
const SERVERS_BYTES_MAX: usize = 4096;

/// Shorter is a pause, longer is never.
const AUTO_REMOVE_MS: RangeInclusive<u64> = 1000..=365 * 86_400_000;

/// An hour: no election is sensibly slower.
const MS_MAX: i64 = 3_600_000;

/// The coordination service (`[coordination]`). It keeps the members, their liveness, the ring and the buckets, and is never
/// waited for by requests that do not ask for strictness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoordinationConfig {
    /// What provides it.
    pub kind: CoordinationKind,
    /// Whether a node that finds no cluster makes it. A cluster is made once; with this left out a node that lost its disk
    /// cannot by mistake make a second one of the same name.
    pub bootstrap: bool,
    /// The nodes that vote, as written; [`ClusterConfig::voters`] knows who does if none are. Embedded only.
    pub voters: Vec<NodeId>,
    /// Where ZooKeeper is, each as `host:port`. ZooKeeper only, and required there.
    pub servers: Vec<String>,
    /// Where in ZooKeeper the cluster's tree hangs, as written; [`ClusterConfig::coordination_root`] knows where if it is not.
    /// ZooKeeper only.
    pub root: Option<String>,
    /// Milliseconds for which a node may be silent until the service counts it as gone. Leases are a tenth shorter.
    pub session_timeout_ms: u64,
    /// After how many milliseconds a node that is down is taken to be gone, so that others get what it owned; `None` leaves that to
    /// operators. Written as `30m`, or `never`. As the rest of this file it counts when the cluster is made.
    pub auto_remove_after_ms: Option<u64>,
    /// Milliseconds between the leader's heartbeats. Embedded only, like the rest.
    pub heartbeat_ms: u64,
    /// A voter that has heard no leader for once to twice so many milliseconds, drawn at random, stands for election.
    pub election_timeout_ms: u64,
    /// Log entries between two snapshots: how much a start may have to apply, and a straggler to be sent.
    pub snapshot_every: u64,
}

/// What provides the coordination service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CoordinationKind {
    /// Nookeeper, in the nodes themselves.
    #[default]
    Embedded,
    /// An external ZooKeeper.
    ZooKeeper,
}

impl CoordinationKind {
    const WORDS: [(&str, CoordinationKind); 2] =
        [("embedded", CoordinationKind::Embedded), ("zookeeper", CoordinationKind::ZooKeeper)];
}

impl fmt::Display for CoordinationKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            CoordinationKind::Embedded => "embedded",
            CoordinationKind::ZooKeeper => "zookeeper",
        })
    }
}

impl Default for CoordinationConfig {
    fn default() -> Self {
        CoordinationConfig {
            kind: CoordinationKind::default(),
            bootstrap: false,
            voters: Vec::new(),
            servers: Vec::new(),
            root: None,
            session_timeout_ms: 10_000,
            auto_remove_after_ms: Some(30 * 60_000),
            heartbeat_ms: 200,
            election_timeout_ms: 1000,
            snapshot_every: 10_000,
        }
    }
}

impl CoordinationConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        let ms = "a number of milliseconds";
        table.word("kind", &mut self.kind, &CoordinationKind::WORDS);
        table.flag("bootstrap", &mut self.bootstrap);
        table.value("voters", &mut self.voters, "a list of node ids, as in [1, 2, 3]", |value| {
            let ids = value.as_array()?.iter().map(|item| item.get_ref().as_integer());
            ids.map(|id| id.and_then(|id| u32::from_str_radix(id.as_str(), id.radix()).ok()).map(NodeId)).collect()
        });
        table.value("servers", &mut self.servers, "host:port, several separated by commas", |value| {
            let text = value.as_str().filter(|text| (1..=SERVERS_BYTES_MAX).contains(&text.len()))?;
            Some(text.split(',').map(|server| server.trim().into()).collect())
        });
        table.value("root", &mut self.root, "a path, as in \"/kv\"", |value| Some(Some(value.as_str()?.into())));
        table.number("session_timeout_ms", &mut self.session_timeout_ms, 1000..=600_000, ms);
        let after = "\"never\" or a duration from 1s to 365d, as in \"30m\"";
        table.value("auto_remove_after", &mut self.auto_remove_after_ms, after, |value| match value.as_str()? {
            "never" => Some(None),
            text => parse_ms(text).filter(|ms| AUTO_REMOVE_MS.contains(ms)).map(Some),
        });
        table.number("heartbeat_ms", &mut self.heartbeat_ms, 1..=MS_MAX, ms);
        table.number("election_timeout_ms", &mut self.election_timeout_ms, 1..=MS_MAX, ms);
        table.number("snapshot_every", &mut self.snapshot_every, 100..=10_000_000, "a number of log entries");
    }

    /// A value of `auto_remove_after` as it is written.
    pub fn written(auto_remove_after_ms: Option<u64>) -> String {
        auto_remove_after_ms.map_or("never".into(), show_ms)
    }

    /// Refuses the keys that mean nothing to this kind of service, rather than let somebody believe that they do.
    fn check_kind(&self, source: &Source, problems: &mut Problems) {
        let (idle, needs): (&[&str], _) = match self.kind {
            CoordinationKind::Embedded => (&["servers", "root"], "zookeeper"),
            CoordinationKind::ZooKeeper => {
                (&["voters", "heartbeat_ms", "election_timeout_ms", "snapshot_every"], "embedded")
            }
        };
        for key in idle {
            let key = format!("coordination.{key}");
            if source.has(&key) {
                problems.push(source.problem(key, Complaint::OtherCoordination { kind: self.kind, needs }));
            }
        }
    }

    fn check_times(&self, source: &Source, problems: &mut Problems) {
        let (heartbeat_ms, election_ms, session_ms) =
            (self.heartbeat_ms, self.election_timeout_ms, self.session_timeout_ms);
        if election_ms < 3 * heartbeat_ms {
            let complaint = Complaint::ElectionTooSoon { election_ms, heartbeat_ms };
            problems.push(source.problem("coordination.election_timeout_ms", complaint));
        }
        if session_ms < 2 * election_ms {
            let complaint = Complaint::SessionTooShort { session_ms, election_ms };
            problems.push(source.problem("coordination.session_timeout_ms", complaint));
        }
    }
}

impl ClusterConfig {
    /// The nodes that vote when the cluster is made. If none are named: the first three of the node list, or the first alone
    /// if there are fewer, for two voters survive no more than one does.
    pub fn voters(&self) -> Vec<NodeId> {
        if !self.coordination.voters.is_empty() {
            return self.coordination.voters.clone();
        }
        let voters = if self.nodes.len() < 3 { 1 } else { 3 };
        self.nodes.iter().take(voters).map(|node| node.id).collect()
    }

    /// Where in ZooKeeper the cluster's tree hangs: by default under the cluster's name.
    pub fn coordination_root(&self) -> String {
        self.coordination.root.clone().unwrap_or_else(|| format!("/{}", self.name))
    }

    pub(super) fn check_coordination(&self, source: &Source, problems: &mut Problems) {
        self.coordination.check_kind(source, problems);
        match self.coordination.kind {
            CoordinationKind::Embedded => {
                self.check_voters(source, problems);
                self.coordination.check_times(source, problems);
            }
            CoordinationKind::ZooKeeper => self.check_zookeeper(source, problems),
        }
    }

    fn check_voters(&self, source: &Source, problems: &mut Problems) {
        let voters = &self.coordination.voters;
        let mut refuse = |complaint| problems.push(source.problem("coordination.voters", complaint));
        if let Some(id) = voters.iter().find(|id| self.node(**id).is_none()) {
            let listed: Vec<String> = self.nodes.iter().map(|node| node.id.to_string()).collect();
            refuse(Complaint::NotListed { id: *id, listed: listed.join(", ") });
        }
        if let Some((_, id)) = voters.iter().enumerate().find(|(i, id)| voters[..*i].contains(id)) {
            refuse(Complaint::VoterTwice(*id));
        }
        if source.has("coordination.voters") && ![1, 3, 5].contains(&voters.len()) {
            refuse(Complaint::VoterCount(voters.len()));
        }
    }

    fn check_zookeeper(&self, source: &Source, problems: &mut Problems) {
        let mut refuse = |key: &str, complaint| problems.push(source.problem(format!("coordination.{key}"), complaint));
        if self.coordination.servers.is_empty() {
            refuse("servers", Complaint::Missing("where ZooKeeper is: host:port, several separated by commas"));
        }
        if let Some(bad) = self.coordination.servers.iter().find_map(|server| split_address(server).err()) {
            refuse("servers", bad.into());
        }
        let root = self.coordination_root();
        if !is_path(&root) {
            refuse("root", Complaint::NotAPath(root));
        }
    }
}

/// Whether ZooKeeper takes it as a path below its root.
fn is_path(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control);
    path.strip_prefix('/').is_some_and(|names| names.split('/').all(is_name))
}
