//! `kv-cli` against a real cluster: what a newcomer types first, and what scripts rely on.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::process::{Cluster, Setup};

/// The program with the servers that it is told of.
pub struct Cli {
    servers: String,
}

/// Exit code, standard output, standard error.
pub type Outcome = (i32, String, String);

impl Cli {
    /// All nodes.
    pub fn of(cluster: &Cluster) -> Cli {
        Cli { servers: cluster.server_list() }
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-cli"));
        command.args(arguments).env("KV_SERVERS", &self.servers).stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Runs what must succeed without a note; what it prints.
    pub fn prints(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?} printed {stdout}");
        stdout
    }

    /// What it prints, as a program reads it.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat())).unwrap()
    }
}

fn code(outcome: &Outcome) -> i32 {
    outcome.0
}

#[tokio::test]
async fn the_first_commands_work_as_written() {
    let cluster = Cluster::start().await;
    let cli = Cli::of(&cluster);
    assert!(cli.prints(&["write", "foo", "bar", "3"]).starts_with("written, held by node "));
    assert_eq!(cli.prints(&["read", "foo", "2"]), "bar\n");

    let nowhere = Cli { servers: "localhost:1".into() };
    let list = cluster.server_list();
    assert_eq!(code(&nowhere.run(&["write", "foo", "baz", "2", &list])), 0);
    assert_eq!(nowhere.prints(&["read", "foo", "3", &list]), "baz\n");
    let file = cluster.config(2).display().to_string();
    assert_eq!(nowhere.prints(&["read", "foo", "--config", &file]), "baz\n");

    let read = cli.json(&["read", "foo", "3"]);
    assert_eq!((&read["values"], read["replicas"].as_array().unwrap().len()), (&json!(["baz"]), 3));
    assert!(read["context"].is_string() && read["time_ms"].is_f64(), "{read}");
    assert!(cli.prints(&["delete", "foo", "3"]).starts_with("deleted, held by node "));
    assert_eq!(cli.run(&["read", "foo"]), (1, "".into(), "not found\n".into()));
}

#[tokio::test]
async fn siblings_are_shown_and_the_note_resolves_them() {
    let cluster = Cluster::start().await;
    let cli = Cli::of(&cluster);
    for value in ["apples", "pears"] {
        assert_eq!(code(&cli.run(&["write", "cart", value, "3", "--blind"])), 0);
    }
    let (code, values, note) = cli.run(&["read", "cart", "2"]);
    assert_eq!((code, values.as_str()), (0, "pears\napples\n"));
    assert!(note.starts_with("note: 2 siblings"), "{note}");
    let command = note.lines().last().unwrap().trim().replace("VALUE", "both");
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    assert!(cli.prints(&arguments).starts_with("written"));
    assert_eq!(cli.prints(&["read", "cart", "3"]), "both\n");
}

#[tokio::test]
async fn each_way_to_end_has_its_exit_code() {
    // A node that is asleep shall not count as down: the request's own time ends the wait for it.
    let own = "[timing]\npeer_timeout_ms = 60000\n".into();
    let mut cluster = Cluster::start_with(Setup { own, ..Setup::default() }).await;
    let cli = Cli::of(&cluster);
    assert_eq!(code(&cli.run(&["write", "k", "v", "3"])), 0);
    assert_eq!(code(&cli.run(&["read", "nothing"])), 1);
    for wrong in [&["write", "k", "v", "4"][..], &["read", "k", "many"], &["write", "k", "v", "--context", "00"]] {
        let (code, stdout, stderr) = cli.run(wrong);
        assert_eq!((code, stdout.as_str()), (2, ""), "{wrong:?}: {stderr}");
    }

    cluster.kill(&[3]);
    cluster.wait_until_linked().await;
    let (code, stdout, stderr) = cli.run(&["write", "k", "v", "3", "--strict"]);
    assert_eq!((code, stdout.as_str()), (3, ""));
    assert!(stderr.contains("node 3 missing") && stderr.contains("nothing was written"), "{stderr}");

    // Node 1 has stored it, and nobody knows whether node 2, asleep, will.
    cluster.restart(3).await;
    cluster.pause(2);
    cluster.pause(3);
    let (code, stdout, stderr) = cli.run(&["write", "k", "v", "2", "--blind", "--timeout", "2s"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert!(
        stderr.contains("outcome is unknown") && stderr.contains("read the key before writing it again"),
        "{stderr}"
    );

    cluster.kill(&[1, 2, 3]);
    let (code, _, stderr) = cli.run(&["read", "k"]);
    assert_eq!(code, 5);
    assert!(stderr.contains(cluster.address(2)) && stderr.contains("--servers"), "{stderr}");
}

#[tokio::test]
async fn operators_see_nodes_keys_and_counters() {
    let mut cluster = Cluster::start().await;
    let cli = Cli::of(&cluster);
    cli.prints(&["write", "foo", "bar", "3"]);

    let located = cli.json(&["locate", "foo"]);
    let replicas = located["replicas"].as_array().unwrap();
    let versions: Vec<_> = replicas.iter().map(|replica| &replica["holds"]["Ok"]["context"]).collect();
    assert!(versions.len() == 3 && versions.iter().all(|v| v.is_string() && *v == versions[0]), "{located}");
    assert!(cli.prints(&["locate", "foo"]).starts_with("default/foo: token 824a1000e2665c04, partition "));
    assert_eq!(code(&cli.run(&["locate", "nothing"])), 1);

    let stats = cli.json(&["stats"]);
    let stored: u64 = stats["nodes"].as_array().unwrap().iter().map(|node| counter(node, "writes")).sum();
    assert_eq!(stored, 1, "{stats}");
    assert!(cli.prints(&["stats"]).contains("read_repairs"));
    assert!(cli.prints(&["ring"]).starts_with("cluster test, ring epoch "));

    cluster.kill(&[2]);
    cluster.wait_until_linked().await;
    let status = cli.json(&["status"]);
    let up: Vec<_> = status["nodes"].as_array().unwrap().iter().map(|node| node["up"].as_bool().unwrap()).collect();
    assert_eq!(up, [true, false, true]);
    assert_eq!(status["nodes"][0]["status"]["store"].as_str().unwrap().len(), 32, "a number of 128 bits: {status}");
    let table = cli.prints(&["status"]);
    let line = |id: u32| table.lines().find(|line| line.contains(cluster.address(id))).unwrap().to_string();
    assert!(line(2).contains("down: ") && line(1).contains("fjall") && line(1).contains("always"), "{table}");
    assert!(line(1).contains("2 (") && line(3).contains("2 ("), "they cannot reach node 2: {table}");
}

fn counter(node: &Value, name: &str) -> u64 {
    let counters = node["counters"].as_array().unwrap();
    counters.iter().find(|counter| counter[0] == name).unwrap()[1].as_u64().unwrap()
}
