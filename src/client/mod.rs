//! The library for applications.
