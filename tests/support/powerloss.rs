//! Takes the power away from real processes.
//!
//! A process that is started with the environment of [`PowerLoss::environment`] keeps a shadow of what it made durable below a root directory
//! (`powerloss/powerloss.h` says by which rules). When it has been killed, [`cut`] puts that in place of what is there: the disk as it would
//! be found after the power came back. The root is then a new beginning, and may be used again with the same shadow.
//!
//! Processes may share a root, as long as no two write the same file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/powerloss");

/// Why nothing can be tested here.
#[derive(Debug)]
pub struct Skip(pub String);

/// The preload library, built.
pub struct PowerLoss {
    directory: TempDir,
}

impl PowerLoss {
    /// Compiles the library with `cc`. A missing compiler is a reason to skip; sources that do not compile are a failure.
    pub fn build() -> Result<PowerLoss, Skip> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return Err(Skip("the preload library is for 64-bit Linux".into()));
        }
        let directory = TempDir::new().expect("a temporary directory");
        let sources = ["dirty.c", "shadow.c", "hooks.c"].map(|name| Path::new(SOURCES).join(name));
        let compiled = Command::new("cc")
            .args(["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"])
            .arg("-o")
            .arg(directory.path().join("powerloss.so"))
            .args(sources)
            .output();
        match compiled {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Skip("there is no C compiler 'cc'".into())),
            Err(error) => panic!("cc: {error}"),
            Ok(output) if !output.status.success() => panic!("cc: {}", String::from_utf8_lossy(&output.stderr)),
            Ok(_) => Ok(PowerLoss { directory }),
        }
    }

    /// What to start a process with. Makes the shadow if there is none: all that `root` holds then counts as durable. Both must lie
    /// on one file system, the shadow not below the root.
    pub fn environment(&self, root: &Path, shadow: &Path) -> io::Result<[(&'static str, OsString); 3]> {
        if !shadow.exists() {
            make_shadow(root, shadow)?;
        }
        Ok([
            ("LD_PRELOAD", self.directory.path().join("powerloss.so").into()),
            ("POWERLOSS_ROOT", root.into()),
            ("POWERLOSS_SHADOW", shadow.into()),
        ])
    }
}

/// Replaces the files below `root` by those that are durable; directories stay. Every process that used the root must be dead. An
/// error if one of them did what the library cannot follow.
pub fn cut(root: &Path, shadow: &Path) -> io::Result<()> {
    if let Ok(trouble) = fs::read_to_string(shadow.join("trouble")) {
        return Err(io::Error::other(format!("the shadow is not to be relied on: {trouble}")));
    }
    for file in files_below(root)? {
        fs::remove_file(root.join(file))?;
    }
    let tree = shadow.join("tree");
    for file in files_below(&tree)? {
        let (from, to) = (tree.join(&file), root.join(&file));
        fs::create_dir_all(to.parent().expect("a file below the root has a parent"))?;
        copy(&from, &to)?;
    }
    fs::remove_dir_all(shadow)?;
    make_shadow(root, shadow)
}

/// A shadow in which all that `root` holds is durable.
fn make_shadow(root: &Path, shadow: &Path) -> io::Result<()> {
    let (tree, inodes) = (shadow.join("tree"), shadow.join("inodes"));
    fs::create_dir_all(&tree)?;
    fs::create_dir_all(&inodes)?;
    for file in files_below(root)? {
        let (real, durable) = (root.join(&file), tree.join(&file));
        let inode = inodes.join(inode_name(&real)?);
        if !inode.exists() {
            copy(&real, &inode)?;
        }
        fs::create_dir_all(durable.parent().expect("a file below the root has a parent"))?;
        fs::hard_link(inode, durable)?;
    }
    Ok(())
}

/// The name of an inode's durable content, as `shadow.c` forms it.
fn inode_name(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    let born = metadata.created()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(format!("{}-{}-{}", metadata.ino(), born.as_secs(), born.subsec_nanos()))
}

/// Everything but directories, relative to `directory`.
fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(place) = left.pop() {
        for entry in fs::read_dir(directory.join(&place))? {
            let entry = entry?;
            let place = place.join(entry.file_name());
            if entry.file_type()?.is_dir() { left.push(place) } else { found.push(place) }
        }
    }
    Ok(found)
}

/// Copies content and mode and leaves holes where there is nothing but zeros: journals are preallocated.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let bytes = source.read(&mut chunk)?;
        if bytes == 0 {
            break;
        }
        if chunk[..bytes].iter().all(|&b| b == 0) {
            target.seek_relative(bytes as i64)?;
        } else {
            target.write_all(&chunk[..bytes])?;
        }
    }
    target.set_len(source.stream_position()?)?;
    target.set_permissions(source.metadata()?.permissions())
}
