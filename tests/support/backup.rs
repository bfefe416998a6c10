//! What happens to the data of a node that is stopped: it is copied, put back, lost.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Cluster;

impl Cluster {
    /// A copy of a node's data as it is now.
    pub fn copy_data(&self, id: u32) -> PathBuf {
        let copy = self.path(&format!("copy-of-node{id}"));
        copy_directory(&self.data(id), &copy);
        copy
    }

    /// Puts a copy in the place of a node's data, if it has any.
    pub fn put_back(&self, id: u32, copy: &Path) {
        if self.data(id).exists() {
            self.wipe(id);
        }
        copy_directory(copy, &self.data(id));
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
