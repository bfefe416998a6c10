//! The configuration as an operator meets it: the files that come with the project, and what `kv-server` says and
//! answers with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use kv::config::{ClusterConfig, Config, CoordinationConfig, Overrides};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// `kv-server`, with none of its variables set.
fn server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-server"));
    for variable in ["KV_CONFIG", "KV_ID", "KV_LISTEN", "KV_DATA_DIR", "KV_JOIN", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.current_dir(ROOT);
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("kv-server runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("not killed"), text(stdout), text(stderr))
}

fn load(file: &str) -> Config {
    Config::load(&Path::new(ROOT).join("config").join(file), &Overrides::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_local_cluster_is_the_default_one() {
    let mut folders = Vec::new();
    let coordination = CoordinationConfig { bootstrap: true, ..CoordinationConfig::default() };
    let default = ClusterConfig { coordination, ..ClusterConfig::default() };
    for (id, file) in [(1, "node1.toml"), (2, "node2.toml"), (3, "node3.toml")] {
        let Config { cluster, node } = load(file);
        assert_eq!(cluster, default);
        assert_eq!((node.id.0, node.listen.as_str()), (id, cluster.nodes[id as usize - 1].address.as_str()));
        assert_eq!((node.arbiters, node.insecure), (1, false));
        folders.push(node.data_dir);
    }
    folders.dedup();
    assert_eq!(folders.len(), 3);
}

#[test]
fn check_says_ok_and_what_it_means() {
    let (code, out, err) = outcome(server().args(["check", "--config", "config/node2.toml"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "ok\nNode 2 of cluster 'kv' listens on 127.0.0.1:8001 and keeps its data in config/../data/node2 (fjall, sync always). \
         The cluster has 3 nodes; each of its 256 partitions is on 3 nodes. It is coordinated by nodes 1, 2, 3, any 1 of which \
         may be lost; this node helps to make the cluster if there is none. A node that is down for 30m is taken to be gone. \
         By default n=3 r=2 w=2 pr=0 pw=0: a write is acknowledged when 2 of 3 replicas hold it, a read when 2 answered; no \
         node is left to stand in for owners that are down; a read sees every write acknowledged before it (r + w > n); concurrent writes are all kept.\n"
    );
}

#[test]
fn check_refuses_with_file_line_key_and_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(Path::new(ROOT).join("config/cluster.toml"), folder.path().join("cluster.toml")).unwrap();
    fs::write(folder.path().join("n.toml"), "cluster = \"cluster.toml\"\nid = 4\nlsiten = \"x\"\ndata_dir = \"d\"\n")
        .unwrap();
    let (code, out, err) = outcome(server().current_dir(folder.path()).args(["check", "--config", "n.toml"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "n.toml:2: id: node 4 is not in the node list, which has 1, 2, 3; correct the id or add the node to the list\n\
         n.toml:3: lsiten: unknown key; did you mean listen?\n"
    );
}

#[test]
fn environment_overrides_the_file_and_flags_override_both() {
    let mut command = server();
    command.args(["check", "--config", "config/node1.toml", "--data-dir", "flag"]);
    command.env("KV_DATA_DIR", "variable").env("KV_LISTEN", "localhost:9");
    let (code, out, _) = outcome(&mut command);
    assert_eq!(code, 0);
    assert!(out.contains("Node 1 of cluster 'kv' listens on localhost:9 and keeps its data in flag "), "{out}");

    let (code, out, _) = outcome(server().arg("check").env("KV_CONFIG", "config/node3.toml"));
    assert!(code == 0 && out.contains("Node 3 of"), "{out}");
}

#[test]
fn a_node_joins_without_a_file() {
    let join = ["check", "--listen", "127.0.0.1:9", "--data-dir", "d"];
    let (code, out, err) = outcome(server().args(join).args(["--join", "10.0.0.1:8000"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "ok\nA node that gets its number from the cluster listens on 127.0.0.1:9 and keeps its data in d (fjall, sync always). \
         It joins the cluster of 10.0.0.1:8000 as 127.0.0.1:9 in zone 'default' with weight 100.\n"
    );
    let (code, out, err) = outcome(server().args(join).env("KV_JOIN", "a:1,b"));
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err, "--join (KV_JOIN): 'b' has no port; give host:port, for example 127.0.0.1:8000\n");
}

/// Starts a node in a folder of its own, and ends it when its log has a line with `last`. The log up to there.
fn log_until(last: &str, command: &mut Command) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path()).env("TMPDIR", folder.path());
    let mut node = command.stderr(Stdio::piped()).spawn().expect("kv-server runs");
    let mut log = Vec::new();
    for line in BufReader::new(node.stderr.take().expect("piped")).lines() {
        log.push(line.expect("text"));
        if log.last().is_some_and(|line| line.contains(last)) {
            break;
        }
    }
    node.kill().expect("killed, or ended before");
    node.wait().expect("ended");
    assert!(log.last().is_some_and(|line| line.contains(last)), "{log:#?}");
    log
}

#[test]
fn the_short_form_needs_no_file() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().to_string();
    let mut command = server();
    command.args(["1", &free, &format!("1|{free},2|localhost:8001,3|localhost:8002")]);
    command.env("KV_ID", "2").env("KV_CONFIG", "nowhere.toml");
    let log = log_until("Node 1 of cluster 'kv' listens on ", &mut command);
    assert!(log[0].contains(" INFO  n1 kv_server: "), "{log:#?}");
    assert!(log[0].contains(&format!("listens on {free} and keeps its data in data/node1 ")), "{log:#?}");
}

#[test]
fn a_dev_node_and_insecure_choices_are_logged_loudly() {
    let log = log_until("INSECURE: 0.0.0.0:", server().args(["--dev", "--listen", "0.0.0.0:0", "--insecure"]));
    let warnings: Vec<&String> = log.iter().filter(|line| line.contains(" WARN ")).collect();
    assert!(warnings[0].contains("DEV: a single node; "), "{log:#?}");
    assert!(warnings[0].ends_with(" is deleted when it stops"), "{log:#?}");
}

#[test]
fn wrong_use_exits_with_2() {
    for (arguments, message) in [
        (vec![], "nothing says what to run: give --config FILE, or ID LISTEN SERVERS, or --join HOST:PORT, or --dev"),
        (vec!["check"], "nothing says what to run: "),
        (vec!["--dev", "--join", "a:1"], "--dev and --join are two ways to start a node: give one"),
        (vec!["--join", "a:1", "--listen", "a:2"], "command line: data_dir: is missing; "),
        (vec!["x", "a:1", "1|a:1"], "'x' is no id: give a number from 1 (ID LISTEN SERVERS)"),
        (vec!["--dev", "--config", "f"], "--dev and --config are two ways to start a node: give one"),
        (vec!["1", "a:1", "1|a:1", "--dev"], "ID LISTEN SERVERS and --dev are two ways to start a node: give one"),
        (vec!["1", "a:1", "1|a:1", "--id", "2"], "ID LISTEN SERVERS already says what --id would: leave it out"),
        (vec!["--dev", "--id", "0"], "invalid value '0' for '--id <ID>'"),
    ] {
        let (code, _, err) = outcome(server().args(&arguments));
        assert_eq!(code, 2, "{arguments:?}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
}

#[test]
fn help_shows_each_way_to_start() {
    let (code, out, _) = outcome(server().arg("--help"));
    assert_eq!(code, 0);
    for line in [
        "kv-server --config config/node1.toml",
        "kv-server check --config config/node1.toml",
        "kv-server 1 localhost:8000 \"1|localhost:8000,2|localhost:8001,3|localhost:8002\"",
        "kv-server --join 10.0.0.1:8000 --listen 10.0.0.4:8000 --data-dir /var/lib/kv --insecure",
        "kv-server --dev",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
}

/// A node that is killed while it drains leaves its clients without an answer.
#[test]
fn systemd_waits_longer_than_a_node_drains() {
    let unit = fs::read_to_string(Path::new(ROOT).join("config/systemd/kv@.service")).unwrap();
    let seconds = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("TimeoutStopSec");
    let drain_ms = Config::default().node.timing.drain_timeout_ms;
    assert!(seconds.parse::<u64>().expect("seconds") * 1000 >= 2 * drain_ms);
}
