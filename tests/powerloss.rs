//! The harness that takes the power away, tested on itself: what was synced stays, what was not is gone.
//!
//! Each test runs its steps in processes of their own, this program started again with the library preloaded; each process is killed
//! when its step is done. Then the power is cut and the check looks at what is left.

#[path = "support/powerloss.rs"]
mod powerloss;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use powerloss::{PowerLoss, Skip};
use rustix::fs::OFlags;
use tempfile::{NamedTempFile, TempDir};

/// Set in a step's process: its root, and which step it is.
const STEP_ROOT: &str = "KV_TEST_POWERLOSS_ROOT";
const STEP: &str = "KV_TEST_POWERLOSS_STEP";
/// What a step's process says when it has done its step.
const DONE: &str = "step done";

type Step = fn(&Path);

/// Runs each step of the test called `test` in a process, kills it, and at last cuts the power. `None`: skipped.
fn lose_power_after(test: &str, steps: &[Step]) -> Option<Scene> {
    let powerloss = prepare(test, steps)?;
    let scene = Scene::new();
    for step in 0..steps.len() {
        scene.run(&powerloss, test, step);
    }
    scene.cut().expect("nothing that the library cannot follow");
    Some(scene)
}

/// The same with a cut after each step.
fn lose_power_after_each(test: &str, steps: &[Step]) -> Option<Scene> {
    let powerloss = prepare(test, steps)?;
    let scene = Scene::new();
    for step in 0..steps.len() {
        scene.run(&powerloss, test, step);
        scene.cut().expect("nothing that the library cannot follow");
    }
    Some(scene)
}

/// In a step's process takes that step and never returns; else builds the library, or says why the test is skipped.
fn prepare(test: &str, steps: &[Step]) -> Option<PowerLoss> {
    if let Some(root) = std::env::var_os(STEP_ROOT) {
        let step: usize = std::env::var(STEP).expect("set with the root").parse().expect("a number");
        steps[step](Path::new(&root));
        println!("\n{DONE}");
        // Until it is killed; or the test is, which must not leave it behind.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        std::process::exit(0);
    }
    match PowerLoss::build() {
        Ok(powerloss) => Some(powerloss),
        Err(Skip(why)) => {
            // Not `eprintln!`, which the test runner keeps to itself while tests pass.
            let mut uncaptured = std::io::stderr();
            writeln!(uncaptured, "{test}: SKIPPED, {why}").unwrap();
            None
        }
    }
}

/// A root and its shadow.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let scene = Scene { directory: TempDir::new().unwrap() };
        fs::create_dir(scene.root()).unwrap();
        fs::write(scene.path("before"), "before").unwrap();
        scene
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn shadow(&self) -> PathBuf {
        self.directory.path().join("shadow")
    }

    fn run(&self, powerloss: &PowerLoss, test: &str, step: usize) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--include-ignored"])
            .envs(powerloss.environment(&self.root(), &self.shadow()).unwrap())
            .env(STEP_ROOT, self.root())
            .env(STEP, step.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = KilledOnDrop(child);
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let done = lines.map_while(Result::ok).any(|line| line == DONE);
        assert!(done, "{test}: step {step} failed");
    }

    fn cut(&self) -> std::io::Result<()> {
        powerloss::cut(&self.root(), &self.shadow())
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn write_synced(path: &Path, content: &str) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.sync_all().unwrap();
    file
}

fn sync_directory(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn what_was_never_synced_is_gone() {
    let steps: [Step; 1] = [|root| {
        fs::write(root.join("new"), "new").unwrap();
        fs::write(root.join("before"), "after").unwrap();
    }];
    let Some(scene) = lose_power_after("what_was_never_synced_is_gone", &steps) else { return };
    assert_eq!((scene.read("new"), scene.read("before")), (None, Some("before".into())));
}

#[test]
fn what_was_synced_stays() {
    let steps: [Step; 1] = [|root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        write_synced(&root.join("a/b/whole"), "whole");
        let mut data = File::create(root.join("data")).unwrap();
        data.write_all(b"0123456789").unwrap();
        data.sync_data().unwrap();
        data.write_all_at(b"ab", 2).unwrap();
        assert_eq!(data.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]).unwrap(), 2);
        data.sync_data().unwrap();
        let mut through = OpenOptions::new()
            .append(true)
            .custom_flags(OFlags::DSYNC.bits() as i32)
            .open(root.join("before"))
            .unwrap();
        through.write_all(b" and after").unwrap();
    }];
    let Some(scene) = lose_power_after("what_was_synced_stays", &steps) else { return };
    assert_eq!(scene.read("a/b/whole").as_deref(), Some("whole"));
    assert_eq!(scene.read("data").as_deref(), Some("01ab456789xy"));
    assert_eq!(scene.read("before").as_deref(), Some("before and after"));
}

#[test]
fn what_came_after_the_sync_reverts() {
    let steps: [Step; 1] = [|root| {
        let mut over = write_synced(&root.join("over"), "synced");
        over.seek(SeekFrom::Start(0)).unwrap();
        over.write_all(b"not").unwrap();
        let mut longer = write_synced(&root.join("longer"), "synced");
        longer.write_all(b" and more").unwrap();
        write_synced(&root.join("cut"), "synced").set_len(2).unwrap();
        write_synced(&root.join("emptied"), "synced");
        File::create(root.join("emptied")).unwrap();
        write_synced(&root.join("copied"), "synced");
        fs::copy(root.join("before"), root.join("copied")).unwrap();
    }];
    let Some(scene) = lose_power_after("what_came_after_the_sync_reverts", &steps) else { return };
    for name in ["over", "longer", "cut", "emptied", "copied"] {
        assert_eq!(scene.read(name).as_deref(), Some("synced"), "{name}");
    }
}

#[test]
fn sizes_are_part_of_the_content() {
    let steps: [Step; 1] = [|root| {
        let file = write_synced(&root.join("shrunk and grown"), "0123456789");
        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        file.sync_data().unwrap();
        let mut file = write_synced(&root.join("replaced"), "0123456789");
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(b"ab").unwrap();
        file.sync_data().unwrap();
    }];
    let Some(scene) = lose_power_after("sizes_are_part_of_the_content", &steps) else { return };
    assert_eq!(scene.read("shrunk and grown").as_deref(), Some("01\0\0"));
    assert_eq!(scene.read("replaced").as_deref(), Some("ab"));
}

#[test]
fn many_scattered_writes_stay() {
    let steps: [Step; 1] = [|root| {
        let file = File::create(root.join("pages")).unwrap();
        file.set_len(64 << 20).unwrap();
        file.sync_all().unwrap();
        for page in (0..100u64).rev() {
            file.write_all_at(&[page as u8 + 1], page * 10_000).unwrap();
        }
        file.sync_all().unwrap();
        file.write_all_at(&[0xff], 0).unwrap();
    }];
    let Some(scene) = lose_power_after("many_scattered_writes_stay", &steps) else { return };
    let content = fs::read(scene.path("pages")).unwrap();
    assert_eq!(content.len(), 64 << 20);
    for page in 0..100 {
        assert_eq!(content[page * 10_000], page as u8 + 1);
    }
    assert_eq!(content.iter().filter(|&&b| b != 0).count(), 100);
}

#[test]
fn names_are_durable_with_their_directory() {
    let steps: [Step; 1] = [|root| {
        for name in ["old 1", "old 2", "gone 1", "gone 2"] {
            write_synced(&root.join(name), name);
        }
        fs::rename(root.join("old 1"), root.join("new 1")).unwrap();
        fs::remove_file(root.join("gone 1")).unwrap();
        fs::write(root.join("empty"), "never synced").unwrap();
        sync_directory(root);
        fs::rename(root.join("old 2"), root.join("new 2")).unwrap();
        fs::remove_file(root.join("gone 2")).unwrap();
    }];
    let Some(scene) = lose_power_after("names_are_durable_with_their_directory", &steps) else { return };
    assert_eq!((scene.read("old 1"), scene.read("new 1").as_deref()), (None, Some("old 1")));
    assert_eq!((scene.read("old 2").as_deref(), scene.read("new 2")), (Some("old 2"), None));
    assert_eq!((scene.read("gone 1"), scene.read("gone 2").as_deref()), (None, Some("gone 2")));
    assert_eq!(scene.read("empty").as_deref(), Some(""));
}

/// As fjall replaces its manifest; `persist` renames by a raw system call.
#[test]
fn a_file_replaced_by_rename_is_old_or_new() {
    fn replace(path: &Path, content: &str) {
        let mut new = NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        new.write_all(content.as_bytes()).unwrap();
        new.as_file().sync_all().unwrap();
        new.persist(path).unwrap();
        File::open(path).unwrap().sync_all().unwrap();
    }
    let steps: [Step; 1] = [|root| {
        for directory in ["synced", "not"] {
            let directory = root.join(directory);
            fs::create_dir(&directory).unwrap();
            write_synced(&directory.join("manifest"), "old");
            replace(&directory.join("manifest"), "new");
        }
        sync_directory(&root.join("synced"));
    }];
    let Some(scene) = lose_power_after("a_file_replaced_by_rename_is_old_or_new", &steps) else { return };
    assert_eq!(scene.read("synced/manifest").as_deref(), Some("new"));
    assert_eq!(scene.read("not/manifest").as_deref(), Some("old"));
}

#[test]
fn a_directory_is_renamed_and_removed_with_its_files() {
    let steps: [Step; 1] = [|root| {
        for directory in ["moved", "removed", "kept"] {
            fs::create_dir(root.join(directory)).unwrap();
            write_synced(&root.join(directory).join("file"), "synced");
        }
        fs::rename(root.join("moved"), root.join("here")).unwrap();
        fs::remove_dir_all(root.join("removed")).unwrap();
        sync_directory(root);
        fs::remove_dir_all(root.join("kept")).unwrap();
    }];
    let Some(scene) = lose_power_after("a_directory_is_renamed_and_removed_with_its_files", &steps) else { return };
    assert_eq!((scene.read("moved/file"), scene.read("here/file").as_deref()), (None, Some("synced")));
    assert_eq!((scene.read("removed/file"), scene.read("kept/file").as_deref()), (None, Some("synced")));
}

/// Killing a process loses nothing; a later one may make it durable.
#[test]
fn the_page_cache_survives_a_process() {
    let steps: [Step; 2] = [
        |root| {
            fs::write(root.join("later"), "written").unwrap();
            fs::write(root.join("never"), "written").unwrap();
        },
        |root| OpenOptions::new().append(true).open(root.join("later")).unwrap().sync_all().unwrap(),
    ];
    let Some(scene) = lose_power_after("the_page_cache_survives_a_process", &steps) else { return };
    assert_eq!((scene.read("later").as_deref(), scene.read("never")), (Some("written"), None));
}

#[test]
fn the_power_can_be_cut_again() {
    let steps: [Step; 2] = [
        |root| drop(write_synced(&root.join("first"), "first")),
        |root| {
            fs::write(root.join("first"), "second").unwrap();
            write_synced(&root.join("second"), "second");
        },
    ];
    let Some(scene) = lose_power_after_each("the_power_can_be_cut_again", &steps) else { return };
    assert_eq!((scene.read("first").as_deref(), scene.read("second").as_deref()), (Some("first"), Some("second")));
}

#[test]
fn what_cannot_be_followed_is_said() {
    const TEST: &str = "what_cannot_be_followed_is_said";
    let steps: [Step; 1] = [|root| {
        const PROT_WRITE: i32 = 2;
        const MAP_SHARED: i32 = 1;
        unsafe extern "C" {
            fn mmap(wanted: *mut u8, bytes: usize, protection: i32, flags: i32, fd: i32, at: i64) -> *mut u8;
        }
        let file = OpenOptions::new().read(true).write(true).open(root.join("before")).unwrap();
        // Safety: a new mapping, at an address of the system's choice, that nobody uses.
        unsafe { mmap(std::ptr::null_mut(), 1, PROT_WRITE, MAP_SHARED, file.as_raw_fd(), 0) };
    }];
    let Some(powerloss) = prepare(TEST, &steps) else { return };
    let scene = Scene::new();
    scene.run(&powerloss, TEST, 0);
    let error = scene.cut().unwrap_err().to_string();
    assert!(error.contains("writable shared mapping"), "{error}");
}

fn open_database(root: &Path) -> (Database, Keyspace) {
    let database = Database::builder(root.join("db")).open().unwrap();
    let keyspace = database.keyspace("objects", KeyspaceCreateOptions::default).unwrap();
    (database, keyspace)
}

fn insert_batch(database: &Database, keyspace: &Keyspace, number: u32) {
    let mut batch = database.batch();
    for part in [0u8, 1] {
        batch.insert(keyspace, [&number.to_be_bytes()[..], &[part]].concat(), vec![b'v'; 100]);
    }
    batch.commit().unwrap();
}

/// What the store stands on, with a cut between the steps, since opening a database syncs what the last process left: a batch that was persisted is there, one that was not is gone, none is there by half.
#[test]
fn fjall_keeps_what_it_persisted() {
    const PERSISTED: u32 = 500;
    let steps: [Step; 2] = [
        |root| {
            let (database, keyspace) = open_database(root);
            for number in 0..PERSISTED {
                insert_batch(&database, &keyspace, number);
                if number % 10 == 9 {
                    database.persist(PersistMode::SyncAll).unwrap();
                }
                if number == PERSISTED / 2 {
                    keyspace.rotate_memtable_and_wait().unwrap();
                }
            }
            std::mem::forget((database, keyspace));
        },
        |root| {
            let (database, keyspace) = open_database(root);
            for number in PERSISTED..2 * PERSISTED {
                insert_batch(&database, &keyspace, number);
            }
            std::mem::forget((database, keyspace));
        },
    ];
    let Some(scene) = lose_power_after_each("fjall_keeps_what_it_persisted", &steps) else { return };
    let (_database, keyspace) = open_database(&scene.root());
    let parts = |number: u32| {
        [0u8, 1].map(|part| keyspace.contains_key([&number.to_be_bytes()[..], &[part]].concat()).unwrap())
    };
    for number in 0..PERSISTED {
        assert_eq!(parts(number), [true, true], "batch {number} was persisted");
    }
    let left: Vec<_> = (PERSISTED..2 * PERSISTED).map(parts).collect();
    assert!(left.iter().all(|[a, b]| a == b), "a batch is there by half");
    assert!(left.contains(&[false, false]), "not one batch that was never persisted is gone");
}

/// The kill comes in the middle of writes, syncs, flushes and compactions; what had been acknowledged by then is there.
#[test]
fn fjall_may_be_killed_at_any_moment() {
    const ACKNOWLEDGED_MIN: u32 = 300;
    let steps: [Step; 1] = [|root| {
        let (database, keyspace) = open_database(root);
        // Outside the root: the power does not fail where the test keeps its notes.
        let acknowledged = File::create(root.with_file_name("acknowledged")).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for number in 0.. {
                insert_batch(&database, &keyspace, number);
                database.persist(PersistMode::SyncAll).unwrap();
                acknowledged.write_all_at(&number.to_be_bytes(), 0).unwrap();
                if number % 20 == 19 {
                    keyspace.rotate_memtable().unwrap();
                }
                // Nobody listens when the step is done.
                let _ = sender.send(number);
            }
        });
        assert!(receiver.into_iter().any(|number| number == ACKNOWLEDGED_MIN));
    }];
    let Some(scene) = lose_power_after("fjall_may_be_killed_at_any_moment", &steps) else { return };
    let acknowledged = fs::read(scene.root().with_file_name("acknowledged")).unwrap();
    let acknowledged = u32::from_be_bytes(acknowledged.try_into().unwrap());
    assert!(acknowledged >= ACKNOWLEDGED_MIN);
    let (_database, keyspace) = open_database(&scene.root());
    for number in 0..=acknowledged {
        for part in [0u8, 1] {
            let key = [&number.to_be_bytes()[..], &[part]].concat();
            assert!(keyspace.contains_key(key).unwrap(), "batch {number} of {acknowledged}");
        }
    }
}
