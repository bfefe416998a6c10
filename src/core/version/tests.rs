//! Histories that nobody thought of: [`world`] runs them beside a reference model, [`coding`] damages what they leave.

mod coding;
mod laws;
mod world;
