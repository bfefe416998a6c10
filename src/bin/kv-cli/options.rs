//! Arguments that several commands share.

use std::time::Duration;

use clap::Args;
use kv::client::QuorumSize;

/// Where a key lives and which of its nodes count.
#[derive(Args, Clone, Debug)]
pub struct Keyed {
    /// The key's bucket
    #[arg(long, default_value = "default")]
    pub bucket: String,
    /// Ask only the first N owners, at most the bucket's n
    #[arg(long, value_name = "N")]
    pub n: Option<u8>,
    /// Only owners count: with r + w > n a read sees every write acknowledged before it
    #[arg(long, conflicts_with = "sloppy")]
    pub strict: bool,
    /// Let fallbacks stand in for owners that are down
    #[arg(long)]
    pub sloppy: bool,
    /// Do not let fallbacks stand in
    #[arg(long, conflicts_with = "sloppy")]
    pub no_sloppy: bool,
}

impl Keyed {
    /// As the request carries it; `None` is the bucket's choice.
    pub fn sloppiness(&self) -> Option<bool> {
        match (self.sloppy, self.no_sloppy) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// Gives an operation of the client library the options of [`Keyed`].
macro_rules! keyed {
    ($operation:expr, $keyed:expr) => {{
        let (mut operation, keyed) = ($operation.bucket(&$keyed.bucket), &$keyed);
        if let Some(n) = keyed.n {
            operation = operation.n(n);
        }
        if keyed.strict {
            operation = operation.strict();
        }
        if let Some(sloppy) = keyed.sloppiness() {
            operation = operation.sloppy(sloppy);
        }
        operation
    }};
}
pub(crate) use keyed;

/// How many must hold a write.
#[derive(Args, Clone, Debug)]
pub struct WriteQuorum {
    /// Replicas that must hold it durably: a number, one, quorum or all
    #[arg(long, value_name = "W", conflicts_with = "w_position")]
    pub w: Option<QuorumSize>,
    /// How many of W must be owners
    #[arg(long, value_name = "PW")]
    pub pw: Option<QuorumSize>,
}

/// Reads `500ms`, `2s`, `10m`, `3h` or `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || "give a number and a unit: 500ms, 2s, 10m, 3h or 7d".to_string();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..unit_at].parse().map_err(|_| bad())?;
    let unit_ms = match &text[unit_at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    match number.checked_mul(unit_ms) {
        Some(0) => Err("must be more than nothing".into()),
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err("is too long".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let ms = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2s"), Ok(2_000));
        assert_eq!(ms("10m"), Ok(600_000));
        assert_eq!(ms("1d"), Ok(86_400_000));
        for wrong in ["", "5", "s", "-1s", "1.5s", "1 s", "0s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
