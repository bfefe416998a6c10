//! `kv-cli export`.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::Args;
use kv::client::{Entry, Page};
use tempfile::NamedTempFile;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::export_format::ExportedKey;
use crate::export_progress::Progress;
use crate::keys::Range;
use crate::output::note;

const AFTER_HELP: &str = "\
One JSON object a line, in the order of `kv-cli keys`:

  {\"bucket\":\"carts\",\"key\":\"ann\",\"values\":[{\"value\":\"2 pears\",\"written_ms\":1764000000000}]}

Keys and values that are UTF-8 are strings; others become {\"base64\": \"...\"}. Several values are siblings, newest \
first; one with a lifetime has expires_ms. Causal contexts stay behind, so `kv-cli import` can write the lines to any \
cluster.

It is no snapshot: each key is as it was when its turn came. If too few owners of a partition answer it ends with exit \
code 3. FILE appears when all is in it; until then, and after an error or Ctrl-C, it is as it was before.

Examples:
  kv-cli export -o default.jsonl
  kv-cli export --bucket carts | gzip > carts.jsonl.gz
  kv-cli export --servers old:8000 | kv-cli import - --servers new:8000";

/// Write the keys and values of a bucket to a file
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Export {
    #[command(flatten)]
    range: Range,
    /// The file to write; - or nothing is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,
}

impl Export {
    /// Exports, page by page.
    pub async fn run(self, at: Where) -> Result<Exit, CliError> {
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut target = Target::open(&self.output).map_err(|error| self.trouble(error))?;
        let client = at.connect(None).await?;
        let mut listing = client.entries(&self.range.bucket).prefix(&self.range.prefix);
        let mut progress = Progress::of_partitions();
        loop {
            let page = tokio::select! {
                biased;
                interrupted = &mut interrupt => {
                    progress.end();
                    note(format_args!("interrupted; {}", self.left_out(&progress)));
                    return interrupted.map(|()| Exit::Interrupted).map_err(CliError::Runtime);
                }
                page = listing.next_page() => page,
            };
            let page = match page {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => {
                    progress.end();
                    note(format_args!("note: {}", self.left_out(&progress)));
                    return Err(error.into());
                }
            };
            let (done, all) = (page.partitions_done, page.partitions);
            match self.write(page, &mut target) {
                Ok((keys, bytes)) => progress.advance(done.into(), all.into(), keys, bytes),
                // Nobody reads any more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
                Err(error) => return Err(self.trouble(error)),
            }
        }
        progress.end();
        target.finish().map_err(|error| self.trouble(error))?;
        note(format_args!("exported {progress}"));
        Ok(Exit::Done)
    }

    /// Writes a page; how many keys and bytes that was.
    fn write(&self, page: Page<Entry>, target: &mut Target) -> io::Result<(u64, u64)> {
        let (keys, mut bytes) = (page.items.len() as u64, 0);
        for entry in page.items {
            let mut line = serde_json::to_vec(&ExportedKey::new(&self.range.bucket, entry))?;
            line.push(b'\n');
            bytes += line.len() as u64;
            target.writer().write_all(&line)?;
        }
        target.writer().flush()?;
        Ok((keys, bytes))
    }

    fn left_out(&self, progress: &Progress) -> String {
        match is_standard(&self.output) {
            true => format!("what was printed is not all: {progress}"),
            false => format!("{} was not written", self.output.display()),
        }
    }

    fn trouble(&self, error: io::Error) -> CliError {
        if is_standard(&self.output) {
            return CliError::Output(error);
        }
        CliError::File { path: self.output.display().to_string(), reason: error.to_string() }
    }
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Where the lines go.
enum Target {
    /// As they come: standard output, a pipe, a device.
    Stream(BufWriter<File>),
    /// Beside the file, whose place is taken at the end. Dropped before, it is deleted.
    Aside(BufWriter<NamedTempFile>, PathBuf),
}

impl Target {
    fn open(path: &Path) -> io::Result<Target> {
        if is_standard(path) {
            return Ok(Target::Stream(BufWriter::new(File::from(rustix::io::dup(io::stdout())?))));
        }
        if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            return Ok(Target::Stream(BufWriter::new(File::options().write(true).open(path)?)));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any other file that is made: what the umask leaves of this.
        let everybody = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().prefix(".kv-export-").permissions(everybody).tempfile_in(directory)?;
        Ok(Target::Aside(BufWriter::new(file), path.into()))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Target::Stream(writer) => writer,
            Target::Aside(writer, _) => writer,
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.writer().flush()?;
        if let Target::Aside(writer, path) = self {
            let file = writer.into_inner()?;
            file.as_file().sync_all()?;
            file.persist(path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        fs::write(&path, "before").unwrap();
        let mut target = Target::open(&path).unwrap();
        target.writer().write_all(b"half").unwrap();
        drop(target);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);

        let mut target = Target::open(&path).unwrap();
        target.writer().write_all(b"whole").unwrap();
        target.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }
}
