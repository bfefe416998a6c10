//! One run: rounds of faults under a workload, peace after each, and the checks at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kv::client::{Client, ClientError};
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::testing::{free_addresses, wait_until_ready};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::disk::SmallDisk;
use crate::figures::Figures;
use crate::history::{Call, ClientId, Quorums, What, WriteId};
use crate::invariants;
use crate::nemesis::Nemesis;
use crate::network::Network;
use crate::peace::{converge, holdings};
use crate::process::{Behind, Cluster, Setup};
use crate::recorder::Recorder;
use crate::schedule::{Targets, schedule};
use crate::workload::Worker;

const NODES: u32 = 5;
/// Clients that work at once.
const CLIENTS: u32 = 10;
/// Who reads when all is over.
const JUDGE: ClientId = ClientId(CLIENTS);
/// Quorums of all owners.
const EVERYBODY: Quorums = Quorums { n: 3, r: 3, w: 3, pr: 3, pw: 3, sloppy: false };
/// How long the nodes may take to make the cluster.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a client waits for an answer: fewer faults than answers are as long.
const CLIENT_PATIENCE: Duration = Duration::from_millis(2500);
const JUDGE_PATIENCE: Duration = Duration::from_secs(20);
/// How often a final read is tried.
const FINAL_READS: usize = 5;
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// Violations that are told in full.
const TOLD_MAX: usize = 10;
/// What lies where it does not belong is found, and who refused a hint is asked again, soon after a round; less room than the small disk
/// has is enough.
const OWN: &str =
    "disk_free_bytes_min = 67108864\n[transfer]\nsweep_interval_ms = 5000\n[hints]\nretry_max_ms = 2000\n";
/// Sessions end within the longer faults, and nobody is removed.
const COORDINATION: &str = "session_timeout_ms = 3000\nauto_remove_after = \"never\"\n";

/// Runs for so long with the faults of this seed. Panics if a promise was broken, and then keeps the logs.
pub async fn run(seed: u64, length: Duration) {
    let recorder = Arc::new(Recorder::new());
    let mut nemesis = set_up(seed).await;
    let ended = tokio::select! {
        ended = play(&mut nemesis, &recorder, seed, length) => ended,
        interrupted = tokio::signal::ctrl_c() => Err(format!("interrupted: {interrupted:?}")),
    };
    let (convergence, troubles): (_, Vec<String>) = match ended {
        Ok((convergence, trouble)) => (convergence, trouble.into_iter().chain(judge(&recorder)).collect()),
        Err(trouble) => (vec![], vec![trouble]),
    };
    let figures = Figures { nemesis: &nemesis, tally: recorder.tally(), convergence };
    println!("chaos: {figures}");
    if !troubles.is_empty() {
        let kept = keep_logs(&nemesis.cluster, seed);
        for trouble in troubles.iter().take(TOLD_MAX) {
            println!("chaos: {trouble}");
        }
        panic!("{} promises broken under KV_CHAOS_SEED={seed}; logs are in {}", troubles.len(), kept.display());
    }
}

/// Five nodes behind relays, one of them on a small disk if that can be mounted.
async fn set_up(seed: u64) -> Nemesis {
    let listening: BTreeMap<u32, String> = (1..).zip(free_addresses(NODES as usize).unwrap()).collect();
    let network = Network::before(&listening).await.unwrap();
    let node = 1 + (seed % u64::from(NODES)) as u32;
    let small_disk = match SmallDisk::mount() {
        Ok(disk) => Some((node, disk)),
        Err(why) => {
            println!("chaos: no disk is filled, for none can be mounted: {why}");
            None
        }
    };
    let behind = |(node, listen): (u32, String)| {
        let address = network.address(node).to_string();
        (node, Behind { listen, address })
    };
    let setup = Setup {
        nodes: NODES,
        own: OWN.into(),
        coordination: COORDINATION.into(),
        behind: listening.into_iter().map(behind).collect(),
        disks: small_disk.iter().map(|(node, disk)| (*node, disk.path().to_path_buf())).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::prepare(setup);
    println!("chaos: {NODES} nodes behind relays, which cut, hold and delay; seed {seed}");
    Nemesis { cluster, network, small_disk, counts: BTreeMap::new(), resident_kb_max: 0 }
}

/// All rounds, until peace does not come, and the reading at the end; how long each peace took to come, and why one did not.
async fn play(
    nemesis: &mut Nemesis,
    recorder: &Arc<Recorder>,
    seed: u64,
    length: Duration,
) -> Result<(Vec<Duration>, Option<String>), String> {
    let targets = Targets { nodes: NODES, small_disk: nemesis.small_disk.as_ref().map(|(node, _)| *node) };
    let nodes = nemesis.cluster.ids();
    nodes.iter().for_each(|node| nemesis.cluster.run(*node));
    let reached: BTreeMap<NodeId, String> =
        nemesis.cluster.addresses.iter().map(|(node, address)| (NodeId(*node), address.clone())).collect();
    wait_until_ready(&reached, READY_WITHIN).await.map_err(|error| error.to_string())?;
    let mut workers = vec![];
    for id in (0..CLIENTS).map(ClientId) {
        let client = connect(&reached, CLIENT_PATIENCE, seed ^ u64::from(id.0)).await?;
        workers.push(Worker::new(id, client, recorder.clone(), seed));
    }
    let client = connect(&reached, JUDGE_PATIENCE, seed).await?;

    let (began, mut told, mut convergence, mut trouble) = (Instant::now(), Instant::now(), vec![], None);
    for (number, round) in schedule(seed, length, targets).into_iter().enumerate() {
        recorder.work_begins();
        let mut working = JoinSet::new();
        for worker in workers.drain(..) {
            working.spawn(worker.work(number, round.length));
        }
        nemesis.strike(&round).await?;
        workers = working.join_all().await;
        recorder.work_ends();
        let keys = recorder.keys();
        let converged = tokio::select! {
            converged = converge(&client, &nodes, &keys) => converged,
            Err(ended) = nemesis.watch() => return Err(ended),
        };
        match converged {
            Ok(peace) => convergence.push(peace),
            Err(why) => {
                trouble = Some(why);
                break;
            }
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            let figures = Figures { nemesis, tally: recorder.tally(), convergence: convergence.clone() };
            println!("chaos: after {} s: {}", began.elapsed().as_secs(), figures.line());
        }
    }
    read_all(&client, recorder).await?;
    Ok((convergence, trouble))
}

async fn connect(nodes: &BTreeMap<NodeId, String>, patience: Duration, seed: u64) -> Result<Client, String> {
    let builder = Client::builder().servers(nodes.values().cloned()).timeout(patience).seed(seed);
    builder.connect().await.map_err(|error| error.to_string())
}

/// Records what everybody would read of every key, and what every store holds.
async fn read_all(client: &Client, recorder: &Recorder) -> Result<(), String> {
    for key in recorder.keys() {
        recorder.record(&key, What::Settled);
        let mut tries = 1;
        while let Err(error) = read_finally(client, recorder, &key).await {
            if tries == FINAL_READS {
                return Err(format!("{key} cannot be read at the end: {error}"));
            }
            tries += 1;
            sleep(Duration::from_secs(1)).await;
        }
        for holding in holdings(client, &key).await? {
            if holding.is_owner || holding.object.is_some() {
                let (store, owner, object) = (holding.store, holding.is_owner, holding.object);
                recorder.record(&key, What::Holds { store, key: key.clone(), owner, object });
            }
        }
    }
    Ok(())
}

async fn read_finally(client: &Client, recorder: &Recorder, key: &Key) -> Result<(), ClientError> {
    let operation = recorder.invoke(JUDGE, key, EVERYBODY, Call::Get);
    match client.get(&key.name).r(EVERYBODY.r).pr(EVERYBODY.pr).sloppy(EVERYBODY.sloppy).await {
        Ok(read) => {
            let values = read.values.iter().map(|value| WriteId::of_value(&value.bytes)).collect();
            recorder.read(key, operation, values);
            Ok(())
        }
        Err(error) => {
            recorder.failed(key, operation, EVERYBODY.sloppy, &error);
            Err(error)
        }
    }
}

/// Checks every history; what is wrong with them.
fn judge(recorder: &Recorder) -> Vec<String> {
    let histories = recorder.histories();
    let violations = histories.values().flat_map(invariants::check);
    violations.map(|violation| violation.to_string()).collect()
}

/// Copies what nodes said to where it stays.
fn keep_logs(cluster: &Cluster, seed: u64) -> PathBuf {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}"));
    fs::create_dir_all(&kept).unwrap();
    for node in cluster.ids() {
        let log = cluster.log_path(node);
        // A node that never started has none.
        if log.exists() {
            fs::copy(&log, kept.join(log.file_name().expect("a file"))).unwrap();
        }
    }
    kept
}
