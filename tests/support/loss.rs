//! How nodes go, to come back later.

use crate::process::Cluster;

/// The way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// SIGKILL: their sockets close at once, and they come back with what their disks hold.
    Killed,
    /// SIGSTOP: their sockets stay and are silent, and they go on where they were.
    Paused,
}

impl Loss {
    /// They go.
    pub fn take(self, cluster: &mut Cluster, nodes: &[u32]) {
        match self {
            Loss::Killed => cluster.kill(nodes),
            Loss::Paused => nodes.iter().for_each(|id| cluster.pause(*id)),
        }
    }

    /// They come back, and may not serve yet.
    pub fn give_back(self, cluster: &mut Cluster, nodes: &[u32]) {
        match self {
            Loss::Killed => nodes.iter().for_each(|id| cluster.run(*id)),
            Loss::Paused => nodes.iter().for_each(|id| cluster.resume(*id)),
        }
    }
}
