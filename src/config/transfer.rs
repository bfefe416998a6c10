//! How much of a node the moving of partitions may take.

use super::table::Table;

/// Limits of what a node does to bring partitions to where they belong (`[transfer]`): copying what it is to own, delivering what it
/// owns no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferConfig {
    /// Bytes a second that this node copies and delivers. Beyond it the next page waits.
    pub bytes_per_s_max: u64,
    /// Partitions that it copies or delivers at once. The others wait for their turn; each has one page under way.
    pub at_once_max: u16,
    /// Bytes of objects that it asks for at once; a larger object comes alone. What requests of applications wait for behind it, here
    /// and at the other end, grows with that.
    pub page_bytes_max: u32,
    /// How much of the time a page may be under way: 100 is one page after the other without a pause. A page takes longer when this node
    /// or the other is busy, and the pause that follows is longer by as much.
    pub busy_percent_max: u32,
    /// In what time it looks once through all partitions for what it holds without owning it.
    pub sweep_interval_ms: u64,
}

impl Default for TransferConfig {
    fn default() -> Self {
        TransferConfig {
            bytes_per_s_max: 32 << 20,
            at_once_max: 4,
            page_bytes_max: 64 << 10,
            busy_percent_max: 100,
            sweep_interval_ms: 60_000,
        }
    }
}

impl TransferConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        table.number("bytes_per_s_max", &mut self.bytes_per_s_max, 1..=1 << 40, "a number of bytes a second");
        table.number("at_once_max", &mut self.at_once_max, 1..=1024, "a number of partitions");
        table.number("page_bytes_max", &mut self.page_bytes_max, 1024..=1 << 24, "a number of bytes");
        table.number("busy_percent_max", &mut self.busy_percent_max, 1..=10_000, "a number of percent");
        table.number("sweep_interval_ms", &mut self.sweep_interval_ms, 1..=86_400_000, "a number of milliseconds");
    }
}
