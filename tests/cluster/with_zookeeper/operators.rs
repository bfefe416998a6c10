//! What operators see and do through any node, when the tree is ZooKeeper's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::three_nodes;
use crate::command_line::Cli;
use crate::process::Cluster;
use crate::wait::until;

/// How long a watch may take to tell of a change.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_tree_is_read_changed_and_watched() {
    let Some(cluster) = three_nodes().await else { return };
    let cli = Cli::of(&cluster);
    assert_eq!(cli.prints(&["coord", "ls"]), "kv\n");
    assert_eq!(cli.prints(&["coord", "create", "/config", "a = 1"]), "created /config, version 0\n");
    assert_eq!(cli.prints(&["coord", "get", "/config", "--sync"]), "a = 1\n");

    let watch = Watch::of(&cluster, "/config");
    assert!(watch.tells().contains("a = 1"));
    assert_eq!(cli.prints(&["coord", "set", "/config", "a = 2", "--version", "0"]), "set /config, version 1\n");
    assert!(watch.tells().contains("a = 2"));

    let (code, _, error) = cli.run(&["coord", "set", "/config", "a = 3", "--version", "0"]);
    assert!(code == 2 && error.contains('1'), "{code}: {error}");
    let numbered = cli.prints(&["coord", "create", "/config/item-", "job", "--sequential"]);
    assert_eq!(numbered, "created /config/item-0000000000, version 0\n");
    assert_eq!(cli.prints(&["coord", "ls", "-R", "/config", "--sync"]), "item-0000000000\n");
    assert_eq!(cli.run(&["coord", "delete", "/config"]).0, 2, "it has a child");
    cli.prints(&["coord", "delete", "/config/item-0000000000"]);
    cli.prints(&["coord", "delete", "/config"]);
    assert_eq!(cli.run(&["coord", "get", "/config", "--sync"]).0, 1);
}

#[tokio::test]
async fn status_and_buckets_are_shown_and_set() {
    let Some(cluster) = three_nodes().await else { return };
    let cli = Cli::of(&cluster);
    let status = cli.prints(&["coord", "status"]);
    assert!(status.contains("uses ZooKeeper at ") && status.contains("state     connected"), "{status}");
    let of_cluster = cli.prints(&["cluster", "status"]);
    for told in ["coordination: ZooKeeper at ", "lease held for "] {
        assert!(of_cluster.contains(told), "{of_cluster}");
    }
    let live = cli.prints(&["coord", "ls", "/kv/live", "--sync"]);
    assert_eq!(live.lines().collect::<Vec<_>>(), ["1", "2", "3"]);

    cli.prints(&["bucket", "set", "cache", "n=1", "conflict=lww"]);
    let client = cluster.client().await;
    until("a node serves the bucket as it was set", async || {
        let written = client.put("key", "value").bucket("cache").w(1).await.unwrap();
        (written.replicas.len() == 1).then_some(())
    })
    .await;
    assert!(cli.prints(&["bucket", "get", "cache"]).contains("lww"));
}

/// `kv-cli coord watch`, which runs until this is dropped.
struct Watch {
    process: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn of(cluster: &Cluster, path: &str) -> Watch {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-cli"));
        command.args(["coord", "watch", path, "--json"]).env("KV_SERVERS", cluster.server_list());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Watch { process, lines }
    }

    fn tells(&self) -> String {
        self.lines.recv_timeout(TOLD_WITHIN).expect("a change is told")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
