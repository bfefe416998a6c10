//! Does the coordination service keep its promises?
//!
//! Clients of a [`Service`](kv::coordination::api::Service) write down what they ask and are told; the `invariants` judge that
//! history, the foremost being that it is `linear`izable.

mod history;
mod linear;
