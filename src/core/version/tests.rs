//! Histories that nobody thought of: [`world`] runs them beside a reference model.

mod laws;
mod world;
