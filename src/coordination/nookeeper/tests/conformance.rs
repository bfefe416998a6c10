//! The suite on three replicas.

use super::support::Three;

crate::coordination_suite!(Three::start().await);
