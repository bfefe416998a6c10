//! The service alone, replicated, under a simulated network and virtual time from one seed.
//!
//! Each [`machine`] is a host with a disk that can lose power; on it run a replica and some clients of it, which come and go
//! with it. Three or five machines vote, up to two more learn ([`world`]). While a [`nemesis`] makes things go wrong, the clients
//! write their history down; then all is repaired, every node is read once more, and the history is judged ([`run`]).
//!
//! What the layers above the service know is here an oracle: which stores belong to the cluster, and which start of each is
//! the latest. So a store that was wiped comes back as another one, and one that was rolled back or copied is refused by all.

mod leader_killed;
mod machine;
#[cfg(feature = "mutants")]
mod mutants;
mod nemesis;
mod run;
mod seeds;
mod world;
