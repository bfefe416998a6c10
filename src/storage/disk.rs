//! The disk under a directory: what is free, what is used, and files that survive a power loss.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that this process may still write on the disk of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes that the files under `path` occupy. Preallocated files count what was written of them; files that vanish
/// meanwhile count nothing.
pub fn used_bytes(path: &Path) -> u64 {
    const STAT_BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    visit(path, &mut |_, file| bytes += file.blocks() * STAT_BLOCK_BYTES);
    bytes
}

/// Calls `file` for every file under `path`, at any depth and in no order. What cannot be read is passed over.
pub(super) fn visit(path: &Path, file: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => visit(&entry.path(), file),
            Ok(found) => file(&entry.path(), &found),
            Err(_) => {}
        }
    }
}

/// Puts `content` in the place of the file `name` in `directory`: after a crash there is the old file or the new one, whole,
/// and after the return the new one for good.
pub(super) fn replace_file(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let written = directory.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create(&written)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&written, directory.join(name))?;
    sync_directory(directory)
}

/// How the name of a file ends that [`replace_file`] has not finished.
pub(super) const UNFINISHED: &str = ".new";

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_takes_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        fs::write(dir.path().join("full"), vec![1; 100_000]).unwrap();
        let used = used_bytes(dir.path());
        assert!((100_000..1 << 20).contains(&used), "{used}");
        assert!(free_bytes(dir.path()).unwrap() > 0);
    }
}
