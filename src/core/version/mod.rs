//! Causal versions.
