//! What an operator does, and gets wrong.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kv::core::id::NodeId;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::sleep;

use crate::load::{Load, lost};
use crate::process::{Cluster, Setup};
use crate::wait::until;

/// What the log of a start says if the stop before it was none.
const NOT_ORDERLY: &str = "the last stop was not orderly";

#[tokio::test]
async fn a_port_in_use_names_the_configuration_key() {
    let cluster = Cluster::prepare(Setup::default());
    let _taken = TcpListener::bind(cluster.address(1)).unwrap();
    let (code, log) = cluster.run_to_its_end(1, &[]).await;
    assert_eq!(code, Some(1));
    assert!(log.contains(&format!("listen = \"{}\": the port is in use", cluster.address(1))), "{log}");
}

#[tokio::test]
async fn a_data_directory_is_of_one_process_and_one_node() {
    let mut cluster = Cluster::start().await;
    let elsewhere = kv::testing::free_addresses(1).unwrap().remove(0);
    let (code, log) = cluster.run_to_its_end(1, &["--listen", &elsewhere]).await;
    assert_eq!(code, Some(1));
    assert!(log.contains(&format!("is in use by process {}", cluster.pid(1))), "{log}");

    assert_eq!(cluster.stop(1).await.code(), Some(0));
    assert_eq!(cluster.stop(2).await.code(), Some(0));
    let others = cluster.data(1).display().to_string();
    let (code, log) = cluster.run_to_its_end(2, &["--data-dir", &others]).await;
    assert_eq!(code, Some(1));
    assert!(log.contains("belongs to node 1, not to node 2; check data_dir and id"), "{log}");

    // Being refused did it no harm.
    cluster.run_all().await;
    assert!(!cluster.log(1).contains(NOT_ORDERLY));
}

#[tokio::test]
async fn sigterm_under_load_loses_nothing_and_leaves_a_clean_directory() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    let load = Load::start(&client, 8);
    for id in cluster.ids() {
        sleep(Duration::from_millis(500)).await;
        assert_eq!(cluster.stop(id).await.code(), Some(0));
        assert!(cluster.data(id).join("clean").exists(), "node {id} left no clean marker");
        cluster.restart(id).await;
    }
    let done = load.stop().await;
    // An orderly stop answers what it has taken, so a rolling restart costs an application nothing.
    let failures: Vec<_> = done.failures.iter().map(|(_, what, error)| (what, error)).collect();
    println!("{} requests during a rolling restart, {} failed", done.requests, failures.len());
    assert!(done.behind.is_empty(), "read too old: {:?}", done.behind);
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(lost(&client, &done.acknowledged, 3).await, [""; 0]);
    for id in cluster.ids() {
        assert!(!cluster.log(id).contains(NOT_ORDERLY), "node {id}");
    }
    // And the log would say so.
    cluster.kill(&[1]);
    cluster.restart(1).await;
    assert!(cluster.log(1).contains(NOT_ORDERLY));
}

#[tokio::test]
async fn all_at_once_stop_in_order_too() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    for i in 0..100 {
        client.put(format!("key-{i}"), "v").w(3).await.unwrap();
    }
    for id in cluster.ids() {
        assert_eq!(cluster.stop(id).await.code(), Some(0));
    }
    cluster.run_all().await;
    for i in 0..100 {
        assert_eq!(client.get(format!("key-{i}")).r(3).await.unwrap().value().unwrap(), "v");
    }
}

/// `config/cluster.sh`, which `make cluster` runs, with this cluster's files.
struct Script(Child);

impl Script {
    fn start(cluster: &Cluster) -> Script {
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/config/cluster.sh"), cluster.path("cluster.sh")).unwrap();
        let log = fs::File::create(cluster.path("script.log")).unwrap();
        let child = Command::new("sh")
            .arg(cluster.path("cluster.sh"))
            .arg(env!("CARGO_BIN_EXE_kv-server"))
            .env("TMPDIR", cluster.path(""))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // As a terminal does with a foreground job: Ctrl-C reaches the whole group.
            .process_group(0)
            .spawn();
        Script(child.unwrap())
    }

    fn signal(&self, signal: Signal) {
        // It is gone if all have ended.
        let _ = kill_process_group(Pid::from_child(&self.0), signal);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_script_of_make_cluster_stops_all_with_one_ctrl_c() {
    let cluster = Cluster::prepare(Setup::default());
    let mut script = Script::start(&cluster);
    let servers = cluster.ids().into_iter().map(|id| (NodeId(id), cluster.address(id).to_string())).collect();
    kv::testing::wait_until_linked(&servers, Duration::from_secs(30)).await.unwrap();
    cluster.client().await.put("foo", "bar").w(3).await.unwrap();

    script.signal(Signal::INT);
    let status = until("the script's end", async || script.0.try_wait().unwrap()).await;
    let log = fs::read_to_string(cluster.path("script.log")).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    for id in cluster.ids() {
        assert!(log.contains(&format!("cluster | node{id} has stopped")), "{log}");
        assert!(log.lines().any(|line| line.starts_with(&format!("node{id}   | ")) && line.contains("serving on")));
        assert!(cluster.data(id).join("clean").exists(), "node {id} left no clean marker");
        TcpListener::bind(cluster.address(id)).expect("nobody listens there any more");
    }
}
