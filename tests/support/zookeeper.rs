//! Real ZooKeeper servers, to be stopped, killed and started again.
//!
//! Needed are `java` and ZooKeeper's jars: Debian's package `zookeeper`, or a release unpacked at `KV_ZOOKEEPER_HOME`. Where
//! either is missing the tests say so and pass, unless `KV_REQUIRE_ZOOKEEPER=1` demands them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use kv::testing::free_addresses;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::until;

/// ZooKeeper's unit of time in milliseconds. Sessions live for at least two, and up to one more than their timeout.
const TICK_MS: u32 = 200;
/// Debian's jar, whose manifest names all others that it needs.
const DEBIAN_JAR: &str = "/usr/share/java/zookeeper.jar";
/// Runs a program until standard input ends, as it does when the tests end in whatever way, and tells its process id first.
const LEASH: &str = r#"exec 3<&0; "$@" </dev/null & echo $!; exec >/dev/null; read -r _ <&3; kill -9 $!"#;

/// So that it is said once that ZooKeeper is missing.
static SAID: Once = Once::new();

/// A server with a directory of its own.
pub struct Server {
    directory: TempDir,
    class_path: String,
    address: String,
    /// The leash, and the server's process.
    running: Option<(Child, Pid)>,
}

/// ZooKeeper's class path, or why there is none.
fn class_path() -> Result<String, String> {
    let java = Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    java.map_err(|error| format!("java does not start: {error}"))?;
    match std::env::var_os("KV_ZOOKEEPER_HOME").map(PathBuf::from) {
        Some(home) if home.join("lib").is_dir() => Ok(format!("{0}/lib/*:{0}/*", home.display())),
        Some(home) => Err(format!("KV_ZOOKEEPER_HOME is {}, which has no lib", home.display())),
        None if std::path::Path::new(DEBIAN_JAR).exists() => Ok(DEBIAN_JAR.into()),
        None => Err(format!("{DEBIAN_JAR} is missing (package zookeeper) and KV_ZOOKEEPER_HOME is not set")),
    }
}

impl Server {
    /// Starts a server; `None` if ZooKeeper is not installed here and need not be.
    pub async fn start() -> Option<Server> {
        let mut server = Server::prepare(&Server::find()?, "");
        server.run().await;
        Some(server)
    }

    /// ZooKeeper's class path; `None` if it is not installed here and need not be.
    pub fn find() -> Option<String> {
        match class_path() {
            Ok(class_path) => Some(class_path),
            Err(why) => {
                let is_required = std::env::var_os("KV_REQUIRE_ZOOKEEPER").is_some_and(|value| value == "1");
                assert!(!is_required, "KV_REQUIRE_ZOOKEEPER is set, but {why}");
                // Not by the macro, which says nothing while tests pass.
                SAID.call_once(|| {
                    let _ = writeln!(std::io::stderr(), "SKIPPED, nothing is tested against ZooKeeper: {why}");
                });
                None
            }
        }
    }

    /// A server that does not run yet, with these lines added to its configuration.
    pub fn prepare(class_path: &str, more_configuration: &str) -> Server {
        let directory = TempDir::new().expect("a temporary directory");
        let address = free_addresses(1).expect("a free port").remove(0);
        let server = Server { directory, class_path: class_path.into(), address, running: None };
        server.configure(more_configuration);
        server
    }

    fn configure(&self, more: &str) {
        let (host, port) = self.address.rsplit_once(':').expect("host:port");
        let data = self.data();
        let config = format!(
            "tickTime={TICK_MS}\ndataDir={}\nclientPortAddress={host}\nclientPort={port}\nmaxClientCnxns=0\n\
             maxSessionTimeout=600000\nadmin.enableServer=false\n4lw.commands.whitelist=*\n{more}",
            data.display()
        );
        fs::create_dir(&data).expect("a data directory");
        fs::write(self.directory.path().join("zoo.cfg"), config).expect("a configuration");
    }

    /// Starts the server again after [`Server::kill`], with what it had stored, and waits until it serves.
    pub async fn run(&mut self) {
        self.launch();
        self.until_serving().await;
    }

    /// Starts the server and waits for nothing.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log file");
        let mut leash = Command::new("sh");
        leash.args(["-c", LEASH, "sh", "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        // Small logs; a killed process loses nothing that it wrote, so there is no need to wait for the disk.
        leash.args(["-Dzookeeper.preAllocSize=1024", "-Dzookeeper.forceSync=no", "-Djava.net.preferIPv4Stack=true"]);
        leash.args(["-cp", &self.class_path, "org.apache.zookeeper.server.quorum.QuorumPeerMain"]);
        leash.arg(self.directory.path().join("zoo.cfg"));
        leash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut leash = leash.spawn().expect("a shell");
        let mut id = String::new();
        BufReader::new(leash.stdout.take().expect("a pipe")).read_line(&mut id).expect("a process id");
        let process = id.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
        self.running = Some((leash, process));
    }

    /// Waits until the server serves.
    pub async fn until_serving(&self) {
        let is_serving = async || self.ask("srvr").filter(|answer| answer.contains("Mode: ")).map(drop);
        until("ZooKeeper serves", is_serving).await;
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        if let Some((mut leash, _)) = self.running.take() {
            drop(leash.stdin.take());
            leash.wait().expect("the shell ends");
        }
    }

    /// Stops the process without ending it: connections stay and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let (_, process) = self.running.as_ref().expect("a running server");
        kill_process(*process, signal).expect("a living process");
    }

    /// Where it serves.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The answer to one of ZooKeeper's four-letter words.
    pub fn ask(&self, word: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Where it keeps its state.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("ZooKeeper said:\n{}", fs::read_to_string(self.log()).unwrap_or_default());
        }
    }
}
