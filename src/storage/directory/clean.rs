//! The marker of an orderly stop: `clean`.

use std::fs;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{ENGINE, StorageError, disk};

/// The marker's name in the data directory.
pub(super) const FILE: &str = "clean";

/// Lists the files of the closed engine as those that start number `start` left.
pub(super) fn mark(directory: &Path, start: u64) -> io::Result<()> {
    let body = list_files(&directory.join(ENGINE), start);
    let marker = format!("{body}{:016x}\n", xxh3_64(body.as_bytes()));
    disk::replace_file(directory, FILE, marker.as_bytes())
}

/// Whether start number `start` ended in an orderly stop. An error if it did and the engine's files are not as they were
/// left. A marker that is of another start, damaged, or not there says nothing.
pub(super) fn check(directory: &Path, start: u64) -> Result<bool, StorageError> {
    const CHECKSUM_BYTES: usize = 17;
    let Ok(marker) = fs::read(directory.join(FILE)) else { return Ok(false) };
    let Some((body, checksum)) = marker.len().checked_sub(CHECKSUM_BYTES).and_then(|at| marker.split_at_checked(at))
    else {
        return Ok(false);
    };
    if checksum != format!("{:016x}\n", xxh3_64(body)).as_bytes()
        || !body.starts_with(format!("start {start}\n").as_bytes())
    {
        return Ok(false);
    }
    let (then, now) = (String::from_utf8_lossy(body), list_files(&directory.join(ENGINE), start));
    if then == now {
        return Ok(true);
    }
    let gone = then.lines().find(|line| now.lines().all(|other| other != *line));
    let detail = match gone {
        Some(line) => format!("the last orderly stop left a file and length {line:?}, which is not there now"),
        None => "it holds files that the last orderly stop did not leave".into(),
    };
    Err(StorageError::corrupt(&directory.join(ENGINE), detail))
}

/// The marker without its checksum: the start that it ends, then every file with its length.
fn list_files(engine: &Path, start: u64) -> String {
    let mut files = Vec::new();
    disk::visit(engine, &mut |path, file| {
        let name = path.strip_prefix(engine).unwrap_or(path).display().to_string();
        files.push(format!("{name} {}\n", file.len()));
    });
    files.sort();
    format!("start {start}\n{}", files.concat())
}
