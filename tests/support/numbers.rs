//! Numbers that whoever runs a test gives it.

/// The number in an environment variable, if it is set. Panics if it holds something else.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
