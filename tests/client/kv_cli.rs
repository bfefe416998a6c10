//! `kv-cli` as a process: what it prints, where, and how it ends.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use kv::client::{BlindWrite, Client, Failure, QuorumSize};
use kv::core::bucket::Bucket;
use kv::core::request::{Kind, Operation};
use serde_json::{Value, json};

use crate::fake_node::{FakeCluster, Reaction};
use crate::quorum_not_met;

/// Runs `kv-cli` with the cluster's servers in the environment.
pub async fn cli(cluster: &FakeCluster, arguments: &[&str]) -> Output {
    cli_with_input(cluster, arguments, b"").await
}

pub async fn cli_with_input(cluster: &FakeCluster, arguments: &[&str], input: &'static [u8]) -> Output {
    let mut command = command(arguments);
    command.env("KV_SERVERS", cluster.addresses().join(","));
    run(command, input).await
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-cli"));
    command.args(arguments).env_remove("KV_SERVERS");
    command
}

pub async fn run(mut command: Command, input: &'static [u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    });
    running.await.unwrap()
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_value_comes_back_alone() {
    let cluster = FakeCluster::start(3, 3).await;
    let written = cli(&cluster, &["write", "foo", "bar", "3"]).await;
    assert_eq!((code(&written), stderr(&written)), (0, ""));
    assert!(stdout(&written).starts_with("written, held by node "), "{written:?}");
    let read = cli(&cluster, &["read", "foo", "2"]).await;
    assert_eq!((code(&read), stdout(&read), stderr(&read)), (0, "bar\n", ""));
    assert_eq!(cli(&cluster, &["read", "foo", "--raw"]).await.stdout, b"bar");

    let requests: Vec<_> = cluster.nodes.iter().flat_map(|n| n.requests()).collect();
    let put = requests.iter().find(|r| r.operation.is_write()).unwrap();
    assert_eq!(put.options.w, Some(QuorumSize::Count(3)));
    assert!(requests.iter().any(|r| r.options.r == Some(QuorumSize::Count(2))));
}

#[tokio::test]
async fn servers_are_taken_in_the_form_with_numbers_and_from_files() {
    let cluster = FakeCluster::start(2, 2).await;
    let list = format!("1|{},2|{}", cluster.nodes[0].address, cluster.nodes[1].address);
    assert_eq!(code(&run(command(&["write", "foo", "bar", "2", &list]), b"").await), 0);
    assert_eq!(stdout(&run(command(&["read", "foo", "2", &list]), b"").await), "bar\n");
    assert_eq!(stdout(&run(command(&["--servers", &list, "read", "foo"]), b"").await), "bar\n");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.toml");
    std::fs::write(&file, format!("[[nodes]]\nid = 1\naddress = \"{}\"\n", cluster.nodes[0].address)).unwrap();
    assert_eq!(stdout(&run(command(&["read", "foo", "--config", file.to_str().unwrap()]), b"").await), "bar\n");
}

#[tokio::test]
async fn not_found_is_exit_code_1() {
    let cluster = FakeCluster::start(1, 1).await;
    let read = cli(&cluster, &["read", "foo"]).await;
    assert_eq!((code(&read), stdout(&read), stderr(&read)), (1, "", "not found\n"));
    let read = cli(&cluster, &["read", "foo", "--json"]).await;
    assert_eq!((code(&read), &document(&read)["values"]), (1, &json!([])));
}

#[tokio::test]
async fn any_bytes_go_in_and_out() {
    let cluster = FakeCluster::start(1, 1).await;
    assert_eq!(code(&cli_with_input(&cluster, &["write", "k", "--file", "-"], b"\x00\xff\n").await), 0);
    assert_eq!(cli(&cluster, &["read", "k", "--raw"]).await.stdout, b"\x00\xff\n");
    cli(&cluster, &["write", "dashed", "--blind", "--", "--v"]).await;
    assert_eq!(stdout(&cli(&cluster, &["read", "dashed"]).await), "--v\n");
    let read = document(&cli(&cluster, &["read", "k", "--json"]).await);
    assert_eq!((&read["values"], &read["replicas"]), (&json!([{ "hex": "00ff0a" }]), &json!([1])));
    assert!(read["context"].is_string() && read["time_ms"].is_f64(), "{read}");
}

#[tokio::test]
async fn siblings_are_told_and_resolved_with_the_command_that_is_printed() {
    let cluster = FakeCluster::start(1, 1).await;
    for value in ["one", "two"] {
        assert_eq!(code(&cli(&cluster, &["write", "it's", value, "--blind", "--bucket", "b"]).await), 0);
    }
    let read = cli(&cluster, &["read", "it's", "--bucket", "b"]).await;
    assert_eq!((code(&read), stdout(&read)), (0, "two\none\n"));
    let suggested = stderr(&read).lines().last().unwrap().trim();
    assert_eq!(suggested, r"kv-cli write 'it'\''s' VALUE --bucket b --context 0102");
    let arguments = ["write", "it's", "both", "--bucket", "b", "--context", "0102"];
    assert_eq!(code(&cli(&cluster, &arguments).await), 0);
    assert_eq!(stdout(&cli(&cluster, &["read", "it's", "--bucket", "b"]).await), "both\n");
}

#[tokio::test]
async fn a_plain_write_replaces_siblings_and_says_so() {
    let cluster = FakeCluster::start(1, 1).await;
    for value in ["one", "two"] {
        cli(&cluster, &["write", "k", value, "--blind"]).await;
    }
    let written = cli(&cluster, &["write", "k", "three"]).await;
    assert_eq!(stderr(&written), "note: 2 siblings were there and are replaced\n");
    assert_eq!(stdout(&cli(&cluster, &["read", "k"]).await), "three\n");
    let puts = cluster.nodes[0].requests().into_iter().filter_map(|request| match request.operation {
        Operation::Put { context, blind, .. } => Some((context.map(|c| c.to_vec()), blind)),
        _ => None,
    });
    let blind = (None, Some(BlindWrite::Sibling));
    assert_eq!(puts.collect::<Vec<_>>(), [blind.clone(), blind, (Some(vec![1, 2]), None)]);
}

#[tokio::test]
async fn a_write_whose_read_fails_is_blind_and_says_so() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.nodes[0].react(|request| match request.operation.is_write() {
        true => Reaction::Usual,
        false => Reaction::Answer(Err(quorum_not_met(Kind::Read, false))),
    });
    let written = cli(&cluster, &["write", "k", "v"]).await;
    assert_eq!(code(&written), 0);
    assert!(stderr(&written).starts_with("note: the read before the write failed ("), "{written:?}");
    assert!(stderr(&written).ends_with("; writing blind\n"), "{written:?}");
}

#[tokio::test]
async fn a_delete_takes_what_was_read() {
    let cluster = FakeCluster::start(1, 1).await;
    cli(&cluster, &["write", "k", "v"]).await;
    let deleted = cli(&cluster, &["delete", "k", "1"]).await;
    assert_eq!((code(&deleted), stdout(&deleted)), (0, "deleted, held by node 1\n"));
    assert_eq!(code(&cli(&cluster, &["read", "k"]).await), 1);
    let requests = cluster.nodes[0].requests();
    let delete = requests.iter().find(|r| matches!(r.operation, Operation::Delete { .. })).unwrap();
    assert_eq!(delete.options.w, Some(QuorumSize::Count(1)));
    assert!(matches!(&delete.operation, Operation::Delete { context: Some(c), .. } if c[..] == [1]));
}

#[tokio::test]
async fn options_reach_the_node() {
    let cluster = FakeCluster::start(1, 1).await;
    let options = ["--w", "all", "--pw", "1", "--n", "1", "--strict", "--timeout", "700ms", "--ttl", "10m"];
    cli(&cluster, &[&["write", "k", "v"], &options[..]].concat()).await;
    cli(&cluster, &["read", "k", "--r", "one", "--pr", "quorum", "--no-sloppy"]).await;
    let requests = cluster.nodes[0].requests();
    let write = requests.iter().find(|r| r.operation.is_write()).unwrap();
    assert_eq!((write.options.w, write.options.pw), (Some(QuorumSize::All), Some(QuorumSize::Count(1))));
    assert!(write.options.strict && write.options.n == Some(1) && write.options.timeout_ms.unwrap() <= 700);
    assert!(matches!(write.operation, Operation::Put { ttl_ms: Some(600_000), .. }));
    let read = &requests.last().unwrap().options;
    assert_eq!((read.r, read.pr), (Some(QuorumSize::One), Some(QuorumSize::Quorum)));
    assert_eq!(read.sloppy, Some(false));
}

#[tokio::test]
async fn failures_have_their_exit_codes_and_say_what_to_do() {
    let cluster = FakeCluster::start(1, 1).await;
    let answers = [
        (Failure::Invalid("w=5 is more than n=3".into()), 2, "w=5 is more than n=3"),
        (quorum_not_met(Kind::Write, false), 3, "node 3 missing"),
        (quorum_not_met(Kind::Write, true), 4, "read the key before writing it again"),
        (Failure::OutcomeUnknown("the link broke".into()), 4, "the link broke"),
    ];
    for (failure, expected, told) in answers {
        let answer = failure.clone();
        cluster.nodes[0].react(move |_| Reaction::Answer(Err(answer.clone())));
        let written = cli(&cluster, &["write", "k", "v", "--blind"]).await;
        assert_eq!((code(&written), stdout(&written)), (expected, ""), "{failure:?}");
        assert!(stderr(&written).starts_with("error: ") && stderr(&written).contains(told), "{written:?}");
    }
    cluster.nodes[0].react(|_| Reaction::Close);
    assert_eq!(code(&cli(&cluster, &["write", "k", "v", "--blind"]).await), 4);
}

#[tokio::test]
async fn nobody_there_is_exit_code_5() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.nodes[0].stop();
    let read = cli(&cluster, &["read", "k"]).await;
    assert_eq!(code(&read), 5);
    assert!(stderr(&read).contains(&cluster.nodes[0].address) && stderr(&read).contains("--servers"), "{read:?}");
}

#[tokio::test]
async fn wrong_use_is_exit_code_2() {
    let wrong: &[&[&str]] = &[
        &["write", "k"],
        &["write", "k", "v", "--file", "-"],
        &["write", "k", "--blnd"],
        &["write", "k", "v", "many"],
        &["write", "k", "v", "3", "--w", "2"],
        &["write", "k", "v", "--blind", "--context", "01"],
        &["write", "k", "v", "--context", "0"],
        &["write", "k", "v", "--ttl", "10"],
        &["write", "k", "--file", "/nonexistent"],
        &["read", "k", "2", "localhost"],
        &["read", "k", "--strict", "--sloppy"],
        &["read", "k", "--config", "/nonexistent"],
        &["rename", "k"],
        &[],
    ];
    for arguments in wrong {
        let output = run(command(arguments), b"").await;
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn status_shows_nodes_that_are_up_and_down() {
    let cluster = FakeCluster::start(3, 3).await;
    cluster.nodes[2].stop();
    let status = cli(&cluster, &["status"]).await;
    assert_eq!(code(&status), 0);
    let lines: Vec<_> = stdout(&status).lines().collect();
    assert_eq!(lines[0], "cluster fake, ring epoch 0.1");
    assert!(lines[2].starts_with("NODE  ADDRESS"), "{lines:?}");
    for text in ["up", "1h 2m", "memory", "always", "3.0 MiB", "5.0 GiB", "4 for 3"] {
        assert!(lines[3].contains(text), "{text} is missing: {}", lines[3]);
    }
    assert!(lines[5].contains("down: "), "{lines:?}");
    let nodes = document(&cli(&cluster, &["status", "--json"]).await)["nodes"].clone();
    let up: Vec<_> = nodes.as_array().unwrap().iter().map(|node| node["up"].as_bool().unwrap()).collect();
    assert_eq!(up, [true, true, false]);
    assert!(nodes[0]["status"]["store"].is_string());
}

#[tokio::test]
async fn ring_shows_members_shares_and_buckets() {
    let carts = Bucket { n: Some(2), r: QuorumSize::One, ..Bucket::default() };
    let cluster = FakeCluster::start_with(3, 3, vec![("carts".into(), carts)]).await;
    let ring = cli(&cluster, &["ring", "--partitions"]).await;
    assert_eq!(code(&ring), 0);
    let text = stdout(&ring);
    assert!(text.starts_with("cluster fake, ring epoch 0.1, 64 partitions, replication 3\n"), "{text}");
    assert!(text.contains("carts   2  one  quorum  0   0   true    siblings  supersede\n"), "{text}");
    assert_eq!(text.lines().skip_while(|line| !line.starts_with("PARTITION ")).count(), 65);
    let ring = document(&cli(&cluster, &["ring", "--json"]).await);
    let shares = ring["members"].as_array().unwrap().iter().map(|m| m["partitions"].as_u64().unwrap());
    assert_eq!(shares.collect::<Vec<_>>(), [64, 64, 64]);
    assert_eq!((ring["owners"].as_array().unwrap().len(), &ring["buckets"]["carts"]["n"]), (64, &json!(2)));
}

#[tokio::test]
async fn stats_stand_side_by_side() {
    let cluster = FakeCluster::start(2, 2).await;
    let stats = cli(&cluster, &["stats"]).await;
    assert_eq!((code(&stats), stderr(&stats)), (0, ""));
    let cell = "250 µs / 1.5 ms / 2.5 ms / 12.0 ms";
    let expected = format!(
        "COUNTER   node 1  node 2\nrequests  0       0\n\n\
         LATENCY  node 1{}  node 2\nwrite    {cell}  {cell}\n",
        " ".repeat(cell.chars().count() - "node 1".len())
    );
    assert_eq!(stdout(&stats), expected);
    let stats = document(&cli(&cluster, &["stats", "--json"]).await);
    assert_eq!(stats["nodes"][1]["latencies"][0][1]["p95_us"], json!(1500));
}

#[tokio::test]
async fn locate_shows_owners_fallbacks_and_hints() {
    let cluster = FakeCluster::start(3, 2).await;
    let located = cli(&cluster, &["locate", "foo"]).await;
    assert_eq!(code(&located), 0);
    let lines: Vec<_> = stdout(&located).lines().collect();
    assert!(lines[0].starts_with("default/foo: token 824a1000e2665c04, partition "), "{lines:?}");
    let words = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    assert_eq!(words(lines[3])[1..], ["owner", "3", "B", "s1:7", "-"]);
    assert_eq!(words(lines[5])[1..], ["fallback", "?", "unreachable", "?", "1"]);
    let located = document(&cli(&cluster, &["locate", "foo", "--json"]).await);
    assert_eq!(located["replicas"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_panic() {
    let cluster = FakeCluster::start(1, 1).await;
    let client = Client::connect(cluster.addresses()).await.unwrap();
    client.put("k", vec![b'x'; 1 << 20]).await.unwrap();
    let mut reading = command(&["read", "k"]);
    reading.env("KV_SERVERS", cluster.addresses().join(",")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = reading.spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert_eq!((code(&output), stderr(&output)), (0, ""));
}

#[tokio::test]
async fn help_has_examples_and_exit_codes() {
    let help = run(command(&["--help"]), b"").await;
    assert_eq!(code(&help), 0);
    for text in ["Examples:", "Exit codes:", "KV_SERVERS", "cannot connect"] {
        assert!(stdout(&help).contains(text), "{text}");
    }
    let plain = ["write", "read", "delete", "status", "ring", "stats", "locate", "cluster status"];
    let coord = ["ls", "get", "set", "create", "delete", "watch", "status"].map(|name| format!("coord {name}"));
    let bucket = ["list", "get", "set"].map(|name| format!("bucket {name}"));
    for name in plain.map(String::from).into_iter().chain(coord).chain(bucket) {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        let help = run(command(&words), b"").await;
        assert!(stdout(&help).contains(&format!("\n  kv-cli {name}")), "{name}");
    }
}
