//! When not.

use std::fmt::{self, Display};
use std::str::FromStr;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A part of each day, by UTC, in which no round is made: `22:00-06:00`. It may pass midnight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuietHours {
    /// Minutes after midnight, the first one in it.
    from: u16,
    /// Minutes after midnight, the first one after it. Not the same as `from`.
    until: u16,
}

impl QuietHours {
    /// Whether this moment, in milliseconds since 1970, lies in them.
    pub fn contain(&self, wall_ms: u64) -> bool {
        let minute = (wall_ms / 60_000 % u64::from(DAY)) as u16;
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let QuietHours { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

/// Why a text names no quiet hours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' names no part of a day, as 22:00-06:00 does")]
pub struct BadHours(String);

impl FromStr for QuietHours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<QuietHours, BadHours> {
        let hours = || {
            let (from, until) = text.split_once('-')?;
            Some(QuietHours { from: minutes(from)?, until: minutes(until)? })
        };
        hours().filter(|hours| hours.from != hours.until).ok_or_else(|| BadHours(text.into()))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: u16| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|number| is_number && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64, minutes: u64) -> u64 {
        ((20_000 * 24 + hours) * 60 + minutes) * 60_000 + 59_999
    }

    #[test]
    fn they_begin_and_end_at_the_minute() {
        let night: QuietHours = "22:00-06:30".parse().unwrap();
        for (moment, is_quiet) in
            [(at(21, 59), false), (at(22, 0), true), (at(0, 0), true), (at(6, 29), true), (at(6, 30), false)]
        {
            assert_eq!(night.contain(moment), is_quiet, "{moment}");
        }
        let noon: QuietHours = "12:00-13:00".parse().unwrap();
        assert_eq!([11, 12, 13].map(|hour| noon.contain(at(hour, 0))), [false, true, false]);
    }

    #[test]
    fn they_are_read_as_they_are_shown() {
        for text in ["22:00-06:00", "00:00-23:59"] {
            assert_eq!(text.parse::<QuietHours>().unwrap().to_string(), text);
        }
        for bad in ["", "22-6", "22:00", "24:00-06:00", "22:60-06:00", "6:00-7:00", "06:00-06:00", "+1:00-02:00"] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
    }
}
