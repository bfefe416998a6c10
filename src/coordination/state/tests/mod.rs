//! The state machine: rule by rule, and random histories beside a model.

mod history;
mod laws;
mod model;
mod recover;
mod sessions;
