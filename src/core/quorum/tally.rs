//! Enough, still possible, or lost.

/// Counts answers against two thresholds at once: so many in all, so many of them from owners that hold a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// r or w.
    pub needed: u8,
    /// pr or pw.
    pub primaries_needed: u8,
    /// Answers.
    pub got: u8,
    /// Answers from owners with a lease.
    pub primaries_got: u8,
}

/// Where a tally stands, given what may still come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Both thresholds are reached.
    Met,
    /// They are not, and may be.
    Open,
    /// They cannot be reached any more.
    Lost,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(needed: u8, primaries_needed: u8) -> Tally {
        Tally { needed, primaries_needed, got: 0, primaries_got: 0 }
    }

    /// One more answer; `as_owner` if it is that of an owner with a lease.
    pub fn count(&mut self, as_owner: bool) {
        self.got += 1;
        self.primaries_got += as_owner as u8;
    }

    /// The verdict if up to `open` more answers may come, `primaries_open` of them from owners, whose leases are not known yet.
    pub fn verdict(&self, open: u8, primaries_open: u8) -> Verdict {
        if self.got >= self.needed && self.primaries_got >= self.primaries_needed {
            Verdict::Met
        } else if self.got + open < self.needed || self.primaries_got + primaries_open < self.primaries_needed {
            Verdict::Lost
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_thresholds_count() {
        let mut tally = Tally::new(2, 2);
        assert_eq!(tally.verdict(3, 1), Verdict::Lost);
        assert_eq!(tally.verdict(3, 2), Verdict::Open);
        tally.count(true);
        tally.count(false);
        assert_eq!(tally.verdict(0, 0), Verdict::Lost);
        assert_eq!(tally.verdict(1, 1), Verdict::Open);
        tally.count(true);
        assert_eq!(tally.verdict(0, 0), Verdict::Met);
    }
}
