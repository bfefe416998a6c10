//! The service alone, replicated, under a simulated network and virtual time from one seed.
//!
//! Each [`machine`] is a host with a disk that can lose power; on it run a replica and some clients of it, which come and go
//! with it. Three or five machines vote, up to two more learn ([`world`]). While a [`nemesis`] makes things go wrong, the clients
//! write their history down; then all is repaired, every node is read once more, and the history is judged ([`run`]).
//!
//! Who takes part is decided by what decides it in a node: each machine has a home, finds or makes the cluster
//! (`node::bootstrap`), registers its start in the tree (`coordination::registry`) and judges by it whoever calls
//! (`bootstrap::Reception`, behind the door of `api::acceptor`). Only the MembershipWatcher is replaced, by [`member`]. So a store
//! that was wiped comes back as another one, and one that was rolled back is refused, sets its bytes aside and does the same.
//! In the end each vote is held by the store that is then on the machine it was given to, and nothing that forgot went unnoticed
//! ([`tally`]).
//!
//! # What a rollback may do
//!
//! A start that is behind is refused by those who know a later one, and by nobody else. So the promise holds for copies that a
//! majority of the voters, *without* the voter that is taken back, knows to be old: a later start of it was registered, and they
//! have applied that. Then it and those who do not know make no majority. The nemesis takes a disk back only then. A copy of the
//! latest start itself, put back when that has ended, looks like any restart and cannot be told; who restores backups of a voter
//! has to start it with an empty directory instead. As after a wipe, one disk per run forgets: more than a majority's spare
//! copies cannot be lost without loss.

mod data_link;
mod leader_killed;
mod machine;
mod member;
#[cfg(feature = "mutants")]
mod mutants;
mod nemesis;
mod run;
mod seeds;
mod tally;
mod world;
