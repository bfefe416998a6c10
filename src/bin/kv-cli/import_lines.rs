//! The lines of a file, read on a thread of their own: a pipe that is slow to bring more must not keep writes waiting.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

/// Bytes of the longest line: the largest object, all of it written as escapes.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// A line of the file.
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes in the file, the newline included.
    pub bytes: u64,
    /// The text without the newline, or why it cannot be had; after that no more lines come.
    pub text: Result<Vec<u8>, String>,
}

/// The lines from number `first` on, one ahead of whoever takes them, and the file's length, if it has one.
pub fn lines(path: &Path, first: u64) -> io::Result<(mpsc::Receiver<Line>, Option<u64>)> {
    let (source, length): (Box<dyn Read + Send>, _) = match path == Path::new("-") {
        true => (Box::new(io::stdin()), None),
        false => {
            let file = File::open(path)?;
            let about = file.metadata()?;
            (Box::new(file), about.is_file().then_some(about.len()))
        }
    };
    let (send, lines) = mpsc::channel(1);
    thread::Builder::new().name("lines".into()).spawn(move || read(BufReader::new(source), first, &send))?;
    Ok((lines, length))
}

/// Ends with the source, with its first error, or when nobody takes any more.
fn read(mut source: impl BufRead, first: u64, to: &mpsc::Sender<Line>) {
    for number in 1.. {
        let mut text = Vec::new();
        let read = source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let bytes = text.len() as u64;
        let text = match read {
            Ok(0) => return,
            Ok(_) if bytes == LINE_BYTES_MAX && !text.ends_with(b"\n") => {
                Err(format!("it is longer than {LINE_BYTES_MAX} bytes"))
            }
            Ok(_) => {
                text.truncate(text.trim_ascii_end().len());
                Ok(text)
            }
            Err(error) => Err(error.to_string()),
        };
        let is_last = text.is_err();
        // A blank line says nothing.
        let is_wanted = text.as_ref().map_or(true, |text| number >= first && !text.is_empty());
        if is_wanted && to.blocking_send(Line { number, bytes, text }).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: &'static [u8], first: u64) -> Vec<(u64, u64, String)> {
        let (send, mut lines) = mpsc::channel(100);
        read(source, first, &send);
        drop(send);
        let mut found = vec![];
        while let Ok(line) = lines.try_recv() {
            found.push((line.number, line.bytes, String::from_utf8(line.text.unwrap()).unwrap()));
        }
        found
    }

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_newline() {
        assert_eq!(all(b"a\r\n\nb", 1), [(1, 3, "a".into()), (3, 1, "b".into())]);
        assert_eq!(all(b"a\nb\nc\n", 3), [(3, 2, "c".into())]);
        assert_eq!(all(b"", 1), []);
    }
}
