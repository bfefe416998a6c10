//! Results, as a table for people and as JSON for programs.

use serde::Serialize;

use crate::measure::Measured;

/// One measured loop and what it is to be held against.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// What was done: `writes`, `reads`, `floor writes` …
    pub what: String,
    /// Connections.
    pub clients: usize,
    /// Requests outstanding on each.
    pub in_flight: usize,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// The floor's operations by second, if it was measured.
    pub floor_ops_per_s: Option<f64>,
    /// `ops_per_s` as a share of it.
    pub floor_share: Option<f64>,
}

impl Row {
    /// A row that is held against nothing yet.
    pub fn new(what: impl Into<String>, clients: usize, in_flight: usize, measured: Measured) -> Row {
        Row { what: what.into(), clients, in_flight, measured, floor_ops_per_s: None, floor_share: None }
    }

    /// The same as a share of a floor.
    pub fn against(self, floor_ops_per_s: f64) -> Row {
        let floor_share = (floor_ops_per_s > 0.0).then(|| self.measured.ops_per_s / floor_ops_per_s);
        Row { floor_ops_per_s: Some(floor_ops_per_s), floor_share, ..self }
    }
}

/// Prints `rows` on standard output; errors also as sentences on standard error.
pub fn print(rows: &[Row], json: bool) {
    if json {
        let text = serde_json::to_string_pretty(rows).expect("rows are plain numbers and strings");
        println!("{text}");
    } else {
        print!("{}", table(rows));
    }
    for row in rows {
        let errors: u64 = row.measured.errors.values().sum();
        if errors > 0 {
            let kinds: Vec<String> =
                row.measured.errors.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
            eprintln!(
                "{} {}×{}: {errors} requests FAILED, so the figures are of a disturbed run: {}",
                row.what,
                row.clients,
                row.in_flight,
                kinds.join(", ")
            );
        }
    }
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|r| r.what.chars().count()).max().unwrap_or(0).max(8);
    let mut text = format!(
        "{:<width$} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>10} {:>6}\n",
        "", "clients", "ops/s", "p50 µs", "p95 µs", "p99 µs", "max µs", "errors", "floor", "share"
    );
    for row in rows {
        let m = &row.measured;
        text += &format!(
            "{:<width$} {:>8} {:>10.0} {:>9} {:>9} {:>9} {:>9} {:>7} {:>10} {:>6}\n",
            row.what,
            format!("{}×{}", row.clients, row.in_flight),
            m.ops_per_s,
            m.p50_us,
            m.p95_us,
            m.p99_us,
            m.max_us,
            m.errors.values().sum::<u64>(),
            row.floor_ops_per_s.map_or("-".into(), |f| format!("{f:.0}")),
            row.floor_share.map_or("-".into(), |s| format!("{s:.2}")),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let errors = [("timeout".to_string(), 3)].into();
        let measured = Measured { ops: 500, ops_per_s: 100.0, p50_us: 10, p95_us: 20, p99_us: 30, max_us: 40, errors };
        Row::new("writes", 50, 16, measured)
    }

    #[test]
    fn a_row_says_its_share_and_its_errors() {
        let text = table(&[row().against(400.0)]);
        let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(line, ["writes", "50×16", "100", "10", "20", "30", "40", "3", "400", "0.25"]);
    }

    #[test]
    fn json_is_flat() {
        let value = serde_json::to_value(row()).unwrap();
        assert_eq!((&value["ops"], &value["errors"]["timeout"]), (&500.into(), &3.into()));
        assert!(value["floor_share"].is_null());
    }
}
