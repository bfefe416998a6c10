//! Stories told by whole clusters: real processes, real sockets, real disks.

#[path = "../support/backup.rs"]
mod backup;
#[path = "../nookeeper/history/mod.rs"]
mod history;
#[path = "../support/inspection.rs"]
mod inspection;
#[path = "../nookeeper/invariants/mod.rs"]
mod invariants;
#[path = "../nookeeper/linear/mod.rs"]
mod linear;
#[path = "../support/load.rs"]
mod load;
#[path = "../nookeeper/lock.rs"]
mod lock;
#[path = "../support/loss.rs"]
mod loss;
#[path = "../support/moving.rs"]
mod moving;
#[path = "../support/native.rs"]
mod native;
#[path = "../support/numbers.rs"]
mod numbers;
#[path = "../support/powerloss.rs"]
mod powerloss;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/ring.rs"]
mod ring;
#[path = "../support/story.rs"]
mod story;
#[path = "../support/strict.rs"]
mod strict;
#[path = "../support/wait.rs"]
mod wait;
#[cfg(feature = "sim")]
#[path = "../support/zookeeper.rs"]
mod zookeeper;

mod all_killed;
mod all_restarted;
mod bad_input;
mod cloned;
mod command_line;
mod coordination;
mod fallback;
mod grown;
mod hinted;
mod in_process;
mod joining;
mod leader_killed;
mod leases;
mod left_and_lost;
mod listing;
mod made_apart;
mod majority_down;
mod moved;
mod moving_killed;
mod moving_ring;
mod one_killed;
mod one_paused;
mod operations;
mod overslept;
mod power_loss;
mod reaped;
mod recovered;
mod repaired;
mod rolled_back;
mod rolling_restart;
mod siblings;
mod slow_start;
mod staged_changes;
mod transfers;
mod turned_back;
// Once is enough: not with each set of features that is tested.
mod wiped;
#[cfg(feature = "sim")]
mod with_zookeeper;
