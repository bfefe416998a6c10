//! Weighted rendezvous hashing.
