//! Durations as people write them: `30m`.

/// Milliseconds in each unit, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Milliseconds of a whole number with a unit; `None` if it is none, or more than can be counted.
pub(super) fn parse_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*ms)
}

/// The same as text, in the largest unit that it is a whole number of.
pub(super) fn show_ms(duration_ms: u64) -> String {
    let fits = |(_, ms): &&(&str, u64)| duration_ms > 0 && duration_ms.is_multiple_of(*ms);
    let (unit, ms) = UNITS.iter().find(fits).unwrap_or(&("ms", 1));
    format!("{}{unit}", duration_ms / ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_shown() {
        for (text, ms) in [("1ms", 1), ("5s", 5000), ("30m", 1_800_000), ("36h", 129_600_000), ("2d", 172_800_000)] {
            assert_eq!((parse_ms(text), show_ms(ms)), (Some(ms), text.to_owned()));
        }
        assert_eq!(show_ms(parse_ms("60s").unwrap()), "1m");
        assert_eq!(show_ms(0), "0ms");
        for bad in ["", "30", "m", "30 m", "1.5h", "-1s", "99999999999999999999d", "18446744073709551615s", "3w"] {
            assert_eq!(parse_ms(bad), None, "{bad}");
        }
    }
}
