//! A small disk that can be filled: a tmpfs, with a ballast file beside a node's data.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use tempfile::TempDir;

/// Its size: room for a node's data, its journals and its log of the coordination service.
const BYTES: u64 = 512 << 20;
/// What is taken at once, as long as there is so much: at last a page.
const STEPS: [u64; 2] = [1 << 20, 4096];

/// A file system of its own, in memory. Dropped, it is unmounted.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts it, which only root may.
    ///
    /// # Errors
    /// Why it cannot be mounted, in a line.
    pub fn mount() -> Result<SmallDisk, String> {
        let directory = TempDir::with_prefix("kv-chaos-disk-").map_err(|error| error.to_string())?;
        let size = format!("size={BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "kv-chaos"]).arg(directory.path());
        let output = mount.output().map_err(|error| format!("mount: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
        }
        Ok(SmallDisk { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes room until no more than `left` bytes are free.
    pub fn fill(&self, left: u64) -> io::Result<()> {
        let ballast = File::create(self.ballast())?;
        let mut taken = 0;
        for step in STEPS {
            while self.free()? >= left + step {
                match fallocate(&ballast, FallocateFlags::empty(), taken, step) {
                    Ok(()) => taken += step,
                    // Whoever else writes meanwhile was quicker.
                    Err(Errno::NOSPC) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let disk = statvfs(self.path())?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Gives the room back.
    pub fn empty(&self) -> io::Result<()> {
        std::fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg(self.path()).status() {
            Ok(status) if status.success() => {}
            trouble => println!("{} stays mounted: {trouble:?}", self.path().display()),
        }
    }
}
