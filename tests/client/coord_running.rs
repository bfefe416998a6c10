//! The commands of `kv-cli coord` that stay: `watch`, and `create --hold`.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use kv::client::Client;
use kv::coordination::local::Local;
use kv::wire::tree::TreeRequest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client;
use crate::fake_node::{FakeCluster, eventually, within};
use crate::kv_cli::command;

const SOON: Duration = Duration::from_secs(20);

/// A command that runs.
struct Running {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Running {
    fn start(cluster: &FakeCluster, arguments: &[&str]) -> Running {
        let mut command = command(arguments);
        command.env("KV_SERVERS", cluster.addresses().join(",")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// The next line that it prints.
    async fn line(&mut self) -> String {
        within(SOON, "a line", self.lines.recv()).await.expect("it goes on")
    }

    /// Presses Ctrl-C and waits for the end.
    async fn interrupt(mut self) -> ExitStatus {
        let id = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(id, Signal::INT).unwrap();
        self.end().await
    }

    async fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("its end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
    }
}

async fn write(client: &Client, path: &str, data: &'static str, create: bool) {
    let (path, data) = (path.to_string(), data.into());
    let request = match create {
        true => TreeRequest::Create { path, data, sequential: false, held: false },
        false => TreeRequest::Set { path, data, expected: None },
    };
    client.tree(request).await.unwrap();
}

fn is_there(service: &Local, path: &str) -> bool {
    service.state().tree().stat(&path.parse().unwrap()).is_some()
}

#[tokio::test]
async fn each_change_is_printed_until_ctrl_c() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.connect_coordination().await;
    let client = client(&cluster).await;
    let mut watch = Running::start(&cluster, &["coord", "watch", "/a"]);
    assert_eq!(watch.line().await, "not found /a");
    write(&client, "/a", "one", true).await;
    assert_eq!(watch.line().await, "created /a, version 0: one");
    write(&client, "/a", "two\nlines", false).await;
    assert_eq!(watch.line().await, "set /a, version 1: two\\nlines");
    write(&client, "/a/b", "", true).await;
    assert_eq!(watch.line().await, "child /a/b");
    assert_eq!(watch.interrupt().await.code(), Some(0));
}

#[tokio::test]
async fn a_watch_of_a_subtree_speaks_json() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.connect_coordination().await;
    let client = client(&cluster).await;
    write(&client, "/a", "", true).await;
    let mut watch = Running::start(&cluster, &["coord", "watch", "/a", "--subtree", "--json"]);
    let parse = |line: String| serde_json::from_str::<serde_json::Value>(&line).unwrap();
    assert_eq!(parse(watch.line().await)["change"], "found");
    write(&client, "/a/b", "", true).await;
    let created = parse(watch.line().await);
    assert_eq!((&created["change"], &created["path"]), (&"created".into(), &"/a/b".into()));
}

#[tokio::test]
async fn a_watch_goes_on_with_another_node() {
    let cluster = FakeCluster::start(2, 2).await;
    let service = Local::new();
    cluster.nodes[0].open_session(&service).await;
    let mut watch = Running::start(&cluster, &["coord", "watch", "/a"]);
    assert_eq!(watch.line().await, "not found /a");
    // The first node alone can have said that. Now there is only the other one.
    cluster.nodes[1].open_session(&service).await;
    cluster.nodes[0].stop();
    write(&client(&cluster).await, "/a", "one", true).await;
    assert_eq!(watch.line().await, "created /a, version 0: one");
    assert_eq!(watch.interrupt().await.code(), Some(0));
}

#[tokio::test]
async fn a_held_node_lasts_as_long_as_the_command() {
    let cluster = FakeCluster::start(1, 1).await;
    let service = cluster.connect_coordination().await;
    let mut holding = Running::start(&cluster, &["coord", "create", "/lock", "me", "-e", "--hold"]);
    assert_eq!(holding.line().await, "created /lock, version 0");
    assert!(is_there(&service, "/lock"));
    assert_eq!(holding.interrupt().await.code(), Some(0));
    eventually("the end of the node", || !is_there(&service, "/lock")).await;
}

#[tokio::test]
async fn a_held_node_that_goes_ends_the_command() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.connect_coordination().await;
    let mut holding = Running::start(&cluster, &["coord", "create", "/lock", "-e", "--hold"]);
    assert_eq!(holding.line().await, "created /lock, version 0");
    let client = client(&cluster).await;
    client.tree(TreeRequest::Delete { path: "/lock".into(), expected: None }).await.unwrap();
    assert_eq!(holding.end().await.code(), Some(1));
}
