//! A node's data on its way in and out.

use std::io::Read;

use crate::exit::CliError;

/// No service takes more; what is beyond is not read, so that the service can say so.
const BYTES_MAX: u64 = (1 << 20) + 1;

/// The argument's bytes; `-` is standard input.
pub fn from_argument(argument: &str) -> Result<Vec<u8>, CliError> {
    if argument != "-" {
        return Ok(argument.as_bytes().to_vec());
    }
    let mut data = vec![];
    let read = std::io::stdin().lock().take(BYTES_MAX).read_to_end(&mut data);
    read.map(|_| data).map_err(|error| CliError::File { path: "standard input".into(), reason: error.to_string() })
}

/// Data as text that no terminal acts upon: control characters and bytes that are no text are escaped.
pub fn printable(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len());
    for chunk in data.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' => text.push(character),
                control if control.is_control() => text.extend(control.escape_default()),
                plain => text.push(plain),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The beginning of data, on one line.
pub fn brief(data: &[u8]) -> String {
    const SHOWN_MAX: usize = 100;
    let text = printable(data).replace('\n', "\\n").replace('\t', "\\t");
    match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(printable("grün\n\ttext".as_bytes()), "grün\n\ttext");
        assert_eq!(printable(b"\x1b[2J\xff\x00"), r"\u{1b}[2J\xff\u{0}");
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(brief(b"a\nb"), r"a\nb");
        assert_eq!(brief(&[b'x'; 101]), format!("{}…", "x".repeat(100)));
        assert_eq!(brief(&[b'x'; 100]), "x".repeat(100));
    }
}
