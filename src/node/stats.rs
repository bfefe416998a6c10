//! What a node counts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::wire::report::LatencyReport;

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident => $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The name under which it is shown.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }
    };
}

named! {
    /// A number that only rises.
    Counter {
        /// Reads coordinated.
        Reads => "reads",
        /// Writes coordinated, deletes included.
        Writes => "writes",
        /// Writes passed on to an owner.
        Forwards => "forwards",
        /// Pages of listings gathered.
        ListPages => "list_pages",
        /// Reads that found nothing.
        NotFound => "not_found",
        /// Reads that found more than one sibling.
        SiblingReads => "sibling_reads",
        /// Requests that failed because too few replicas could answer.
        QuorumFailures => "quorum_failures",
        /// Requests that ran out of time.
        Timeouts => "timeouts",
        /// Requests refused because a limit was reached.
        Overloaded => "overloaded",
        /// Strict requests refused because this node had no lease.
        RingMayBeStale => "ring_may_be_stale",
        /// Operations that went on, or began anew, by a newer ring.
        Rebased => "rebased",
        /// Answers that named a newer ring than the coordinator had: it was waited for.
        RingAwaited => "ring_awaited",
        /// Requests refused for what they ask.
        Refused => "refused",
        /// Reads that asked one replica more because another was slow.
        Hedges => "hedges",
        /// Replicas sent a newer version after a read.
        ReadRepairs => "read_repairs",
        /// Read repairs left undone for want of budget.
        ReadRepairsSkipped => "read_repairs_skipped",
        /// Objects received from coordinators.
        ReplicaStores => "replica_stores",
        /// Objects handed to coordinators.
        ReplicaFetches => "replica_fetches",
        /// Requests refused because their ring was older than the replica's.
        ReplicaMoved => "replica_moved",
        /// Requests that waited for a newer ring.
        ReplicaParked => "replica_parked",
        /// Messages dropped because their time had passed.
        Late => "late",
        /// Copies kept for an owner that was down.
        HintsStored => "hints_stored",
        /// Copies refused because the budget was used up.
        HintsRefused => "hints_refused",
        /// Copies delivered to their owner.
        HintsDelivered => "hints_delivered",
        /// Copies whose target owns them no more, delivered to all who do.
        HintsRedirected => "hints_redirected",
        /// Partitions copied from another store.
        Transfers => "transfers",
        /// Keys copied with them.
        TransferKeys => "transfer_keys",
        /// Bytes copied with them.
        TransferBytes => "transfer_bytes",
        /// Keys of which no owner had a record that could be read.
        TransferUnreadable => "transfer_unreadable",
        /// Keys dropped because this store does not own them and all who do have them.
        DrainDropped => "drain_dropped",
        /// Bytes of objects sent to owners that lacked them before.
        DrainSentBytes => "drain_sent_bytes",
        /// Tombstones and expired values forgotten here, because no copy of what they cover is left anywhere.
        TombstonesReaped => "tombstones_reaped",
        /// Context entries forgotten here likewise.
        ContextEntriesPruned => "context_entries_pruned",
        /// Partitions that had something to reap and in which something kept it.
        ReapsBlocked => "reaps_blocked",
        /// Partitions compared with another owner of them.
        Exchanges => "exchanges",
        /// Exchanges that could not be completed; each is tried again.
        ExchangesFailed => "exchanges_failed",
        /// Versions of keys that were compared with another owner's.
        ExchangeKeys => "exchange_keys",
        /// Objects that an exchange brought here.
        ExchangeReceived => "exchange_received",
        /// Objects that an exchange brought to another owner.
        ExchangeSent => "exchange_sent",
        /// Bytes that exchanges moved, either way.
        ExchangeBytes => "exchange_bytes",
        /// Records that neither owner had in a form that can be read.
        ExchangeUnreadable => "exchange_unreadable",
        /// Records, and gaps between them, that were found to be unreadable here.
        DamagedRecords => "damaged_records",
        /// Of these, replaced by what another owner holds.
        DamagedMended => "damaged_mended",
        /// Partitions that were read again and compared with what was known to be written.
        MerkleVerified => "merkle_verified",
        /// Merkle leaves that were found to be wrong by that.
        MerkleLeavesWrong => "merkle_leaves_wrong",
        /// Alarms: somebody knew more of this replica's own writes than itself.
        Doubts => "doubts",
        /// Writes that storage refused or failed.
        StorageErrors => "storage_errors",
        /// Batches made durable.
        Syncs => "syncs",
        /// Links to other nodes that broke.
        LinksLost => "links_lost",
        /// Connections accepted.
        Connections => "connections",
        /// Connections closed for what they sent.
        ConnectionErrors => "connection_errors",
    }
}

named! {
    /// A number that rises and falls.
    Gauge {
        /// Bytes of Merkle leaves in memory; see [`crate::core::merkle::leaf_count`] for the bound.
        MerkleBytes => "merkle_bytes",
        /// Keys whose last writes were deletes, not reaped yet.
        Tombstones => "tombstones",
        /// Keys with nothing but values that expire, or have, and tombstones.
        ExpiringValues => "expiring_values",
        /// Entries of the largest context that the last look through all keys has found; `limits.context_entries_max` binds it.
        ContextEntriesMost => "context_entries_most",
        /// Merkle trees that are whole.
        MerkleTrees => "merkle_trees",
        /// Merkle trees that are being made.
        MerkleTreesBuilding => "merkle_trees_building",
        /// Partitions of which this store may miss something.
        NeedsSync => "needs_sync",
    }
}

named! {
    /// A duration that is measured.
    Latency {
        /// A read, from its arrival to its answer.
        Read => "read",
        /// A write, from its arrival to its answer.
        Write => "write",
        /// From a batch's arrival at the disk's queue to its durability.
        Disk => "disk",
    }
}

/// Longest latency told apart, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// One node's counters, gauges and latencies. Shared by all its arbiters.
#[derive(Debug)]
pub struct Stats {
    counters: Vec<AtomicU64>,
    gauges: Vec<AtomicI64>,
    latencies: Vec<Mutex<Histogram<u64>>>,
}

impl Default for Stats {
    fn default() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 2).expect("fixed bounds are valid");
        Stats {
            counters: Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            gauges: Gauge::ALL.iter().map(|_| AtomicI64::new(0)).collect(),
            latencies: Latency::ALL.iter().map(|_| Mutex::new(histogram())).collect(),
        }
    }
}

impl Stats {
    /// One more.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// So many more.
    pub fn add(&self, counter: Counter, by: u64) {
        self.counters[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// How often.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// How high it is.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.gauges[gauge as usize].load(Ordering::Relaxed).max(0) as u64
    }

    /// A gauge stands at so much.
    pub fn set(&self, gauge: Gauge, to: u64) {
        self.gauges[gauge as usize].store(to as i64, Ordering::Relaxed);
    }

    /// A gauge has risen by so much, or fallen.
    pub fn shift(&self, gauge: Gauge, by: i64) {
        self.gauges[gauge as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// One more measurement.
    pub fn measure(&self, latency: Latency, took: Duration) {
        let mut histogram = self.latencies[latency as usize].lock().expect("no panic while a histogram is locked");
        histogram.saturating_record(took.as_micros() as u64);
    }

    /// All counters, in a fixed order.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let value = |c: &Counter| (c.name().to_string(), self.counted(*c));
        Counter::ALL.iter().map(value).collect()
    }

    /// All gauges, in a fixed order.
    pub fn gauges(&self) -> Vec<(String, u64)> {
        Gauge::ALL.iter().map(|gauge| (gauge.name().to_string(), self.gauge(*gauge))).collect()
    }

    /// All latencies, in a fixed order.
    pub fn latencies(&self) -> Vec<(String, LatencyReport)> {
        let report = |l: &Latency| {
            let histogram = self.latencies[*l as usize].lock().expect("no panic while a histogram is locked");
            let at = |quantile| histogram.value_at_quantile(quantile);
            let report = LatencyReport {
                count: histogram.len(),
                p50_us: at(0.5),
                p95_us: at(0.95),
                p99_us: at(0.99),
                max_us: histogram.max(),
            };
            (l.name().to_string(), report)
        };
        Latency::ALL.iter().map(report).collect()
    }
}
