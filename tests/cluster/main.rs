//! Stories told by whole clusters: real processes, real sockets, real disks.

mod in_process;
