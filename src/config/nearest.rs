//! Which word may have been meant.

/// The candidate that is closest to `word`, if one is close enough to be a slip of the keyboard: at most a third of the
/// letters changed, and never all of them. Case does not count. Of equally close ones the first.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    let allowed = (letters.max(3) / 3).min(letters.saturating_sub(1));
    let (distance, found) =
        candidates.into_iter().map(|c| (distance(&word, &c.to_lowercase()), c)).min_by_key(|(d, _)| *d)?;
    (distance <= allowed).then_some(found)
}

/// Letters to insert, remove, replace or swap with their neighbour to turn one word into the other: the restricted
/// Damerau–Levenshtein distance, row by row.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (from, to, slips) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("lsiten", "listen", 1),
            ("lisen", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(from, to), distance(to, from)), (slips, slips), "{from} {to}");
        }
    }

    #[test]
    fn only_what_is_close_is_suggested() {
        let keys = ["listen", "advertise", "id"];
        assert_eq!(nearest("lsiten", keys), Some("listen"));
        assert_eq!(nearest("advertize", keys), Some("advertise"));
        assert_eq!(nearest("di", keys), Some("id"));
        assert_eq!(nearest("ID", keys), Some("id"));
        assert_eq!(nearest("port", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
