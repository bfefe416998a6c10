//! How much a node takes on before it says no.

use crate::core::limits::Limits;
use crate::wire::frame::FrameLimits;

use super::complaint::Complaint;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

/// The largest number of bytes that a limit may have: lengths travel in 31 bits.
const BYTES_MAX: i64 = i32::MAX as i64;

/// Limits of a node (`[limits]`). Each has a gauge, and none is ever passed: what happens instead is said here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeLimits {
    /// What a key may carry. Its fields stand in `[limits]` beside the others. Beyond: the request is refused as *too large* or *too many*.
    pub object: Limits,
    /// Connections open at once, peers' included. Beyond: a new one is told so and closed.
    pub connections_max: u32,
    /// Operations in flight in the whole node. Beyond: *overloaded*, with the time after which to try again.
    pub calls_in_flight_max: u32,
    /// Operations in flight of one connection. Beyond: the node stops reading from it until some are answered.
    pub connection_calls_max: u32,
    /// Pages of listings that the node gathers at once, each of up to a mebibyte from every owner asked. Beyond: *overloaded*.
    pub listings_max: u32,
    /// Messages waiting to be sent to one peer. Beyond: the peer counts as not answering for what would come next.
    pub link_queue_max: u32,
    /// Bytes waiting to be sent on one link. Beyond: as for `link_queue_max`; a client that does not read its answers is not listened to.
    pub link_queue_bytes_max: u64,
    /// Bytes waiting to be written to the disk. Beyond: the replica refuses, and the write goes to others if it may.
    pub disk_queue_bytes_max: u64,
    /// Bytes of one frame. Beyond: the connection is closed; a longer message travels in several frames.
    pub frame_bytes_max: u32,
    /// Bytes of one message over all its frames: what a connection can make a node hold. Beyond: the connection is closed.
    pub message_bytes_max: u32,
    /// Milliseconds after which a client's connection that carries nothing is closed.
    pub idle_timeout_ms: u64,
    /// Milliseconds in which a new connection must have greeted. Beyond: it is closed.
    pub handshake_timeout_ms: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        let FrameLimits { frame_bytes_max, message_bytes_max } = FrameLimits::default();
        NodeLimits {
            object: Limits::default(),
            connections_max: 1000,
            calls_in_flight_max: 10_000,
            connection_calls_max: 1000,
            listings_max: 32,
            link_queue_max: 10_000,
            link_queue_bytes_max: 64 << 20,
            disk_queue_bytes_max: 256 << 20,
            frame_bytes_max,
            message_bytes_max,
            idle_timeout_ms: 300_000,
            handshake_timeout_ms: 5000,
        }
    }
}

impl NodeLimits {
    /// How large frames and messages may get on this node's connections.
    pub fn frames(&self) -> FrameLimits {
        FrameLimits { frame_bytes_max: self.frame_bytes_max, message_bytes_max: self.message_bytes_max }
    }

    pub(super) fn read(&mut self, table: &mut Table) {
        let object = &mut self.object;
        let bytes = "a number of bytes";
        // A stored key has its bucket before it and must stay under the 65,535 bytes that storage engines take.
        table.number("bucket_bytes_max", &mut object.bucket_bytes_max, 1..=1024, bytes);
        table.number("key_bytes_max", &mut object.key_bytes_max, 1..=32_768, bytes);
        table.number("value_bytes_max", &mut object.value_bytes_max, 1..=BYTES_MAX, bytes);
        table.number("object_bytes_max", &mut object.object_bytes_max, 1..=BYTES_MAX, bytes);
        table.number("frame_bytes_max", &mut self.frame_bytes_max, 1024..=BYTES_MAX, bytes);
        table.number("message_bytes_max", &mut self.message_bytes_max, 1024..=BYTES_MAX, bytes);
        table.number("link_queue_bytes_max", &mut self.link_queue_bytes_max, 1024..=1 << 40, bytes);
        table.number("disk_queue_bytes_max", &mut self.disk_queue_bytes_max, 1024..=1 << 40, bytes);

        table.number("siblings_max", &mut object.siblings_max, 1..=1_000_000, "a number of siblings");
        table.number("context_entries_max", &mut object.context_entries_max, 1..=1_000_000, "a number of actors");
        table.number("connections_max", &mut self.connections_max, 1..=1_000_000, "a number of connections");
        table.number("calls_in_flight_max", &mut self.calls_in_flight_max, 1..=10_000_000, "a number of operations");
        table.number("connection_calls_max", &mut self.connection_calls_max, 1..=10_000_000, "a number of operations");
        table.number("listings_max", &mut self.listings_max, 1..=10_000, "a number of listings");
        table.number("link_queue_max", &mut self.link_queue_max, 1..=10_000_000, "a number of messages");

        let ms = "a number of milliseconds";
        table.number("idle_timeout_ms", &mut self.idle_timeout_ms, 1..=86_400_000, ms);
        table.number("handshake_timeout_ms", &mut self.handshake_timeout_ms, 1..=86_400_000, ms);
    }

    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        let (value, object) = (u64::from(self.object.value_bytes_max), u64::from(self.object.object_bytes_max));
        let (frame, message) = (u64::from(self.frame_bytes_max), u64::from(self.message_bytes_max));
        let (one, all) = (u64::from(self.connection_calls_max), u64::from(self.calls_in_flight_max));
        for (key, value, bound, limit) in [
            ("limits.value_bytes_max", value, "limits.object_bytes_max", object),
            ("limits.object_bytes_max", object, "limits.message_bytes_max", message),
            ("limits.object_bytes_max", object, "limits.link_queue_bytes_max", self.link_queue_bytes_max),
            ("limits.object_bytes_max", object, "limits.disk_queue_bytes_max", self.disk_queue_bytes_max),
            ("limits.frame_bytes_max", frame, "limits.message_bytes_max", message),
            ("limits.connection_calls_max", one, "limits.calls_in_flight_max", all),
        ] {
            if value > limit {
                problems.push(source.problem(key, Complaint::Above { value, bound, limit }));
            }
        }
    }
}
