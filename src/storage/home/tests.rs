//! What every home must do.
