//! Columns of text.

use std::fmt;

use kv::core::id::StoreId;

/// Rows under headings, each column as wide as its widest cell.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Table {
        Table { rows: vec![headings.into_iter().map(S::into).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0))
            .collect();
        for (i, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let end = if i + 1 < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes, in the unit that leaves it short.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (0..units.len() - 1).find(|&p| bytes >> (10 * p) < 1024).unwrap_or(units.len() - 1);
    if power == 0 {
        format!("{bytes} B")
    } else {
        format!("{:.1} {}", bytes as f64 / (1u64 << (10 * power)) as f64, units[power])
    }
}

/// Microseconds, in the unit that leaves them short.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// Milliseconds, in the unit that leaves them short.
pub fn millis(ms: u64) -> String {
    if ms < 60_000 { micros(ms * 1_000) } else { uptime(ms / 1_000) }
}

/// Seconds as days, hours, minutes and seconds, the two largest that count.
pub fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A store by its first digits, which are enough to name it.
pub fn store(store: StoreId) -> String {
    store.to_string()[..8].to_string()
}

/// Node numbers in a row, or a dash.
pub fn list<T: fmt::Display>(items: &[T]) -> String {
    match items {
        [] => "-".into(),
        items => items.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["NODE", "STATE"]);
        table.row(["1".into(), "up".into()]);
        table.row(["1000000".into(), "down".into()]);
        assert_eq!(table.to_string(), "NODE     STATE\n1        up\n1000000  down");
    }

    #[test]
    fn units() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)].join(" "), "0 B 1023 B 1.5 KiB 5.0 TiB");
        assert_eq!([micros(999), micros(1500), micros(2_000_000)].join(" "), "999 µs 1.5 ms 2.0 s");
        assert_eq!([uptime(59), uptime(61), uptime(3725), uptime(90_000)].join(", "), "59s, 1m 1s, 1h 2m, 1d 1h");
    }
}
