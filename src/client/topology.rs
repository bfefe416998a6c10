//! Which node to ask.
//!
//! The client holds a copy of the ring and a link to every member. A key has a favourite among its owners, the same for all
//! clients, so that writers of one key meet at one coordinator; which one it is depends on the key, so that the load is spread.
//! Whoever is down or slow is asked last. The copy is renewed in the background when an answer comes from a newer ring or a node
//! fails, and before the next attempt when a key has moved or a node is asked for that it does not name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ClientError;
use super::builder::Settings;
use super::link::{Ask, Dialling, Link, LinkError, Rank, Told};
use crate::core::bucket::Bucket;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::key::Key;
use crate::wire::report::{Inspect, Inspection, RingReport};

/// A node that has not shown its ring after so long is not waited for alone.
const STAGGER: Duration = Duration::from_millis(150);
/// How often the ring is asked for because a node failed, at most.
const LEARN_PAUSE: Duration = Duration::from_secs(1);

/// The links, and the ring that says what they are good for.
pub(crate) struct Topology {
    settings: Settings,
    cluster: Arc<OnceLock<String>>,
    state: Mutex<State>,
    /// One asks for the ring at a time; whoever waits for the lock finds it renewed.
    learning: tokio::sync::Mutex<()>,
    learning_in_background: AtomicBool,
}

struct State {
    view: Arc<View>,
    learnt_at: Instant,
    rng: SmallRng,
}

/// A ring and the links to its members; replaced as a whole.
pub(crate) struct View {
    pub report: Arc<RingReport>,
    buckets: BTreeMap<String, Bucket>,
    members: BTreeMap<StoreId, Arc<Link>>,
    /// To the addresses the application gave: asked last, for members may be known here by names that cannot be reached.
    seeds: Vec<Arc<Link>>,
}

impl Topology {
    /// Learns the ring from any of the servers.
    pub async fn discover(settings: Settings) -> Result<Topology, ClientError> {
        let cluster = Arc::new(OnceLock::new());
        if let Some(name) = &settings.cluster {
            cluster.get_or_init(|| name.clone());
        }
        let mut rng = settings.seed.map_or_else(SmallRng::from_os_rng, SmallRng::seed_from_u64);
        let seeds: Vec<Arc<Link>> =
            settings.servers.iter().map(|s| open(s, &settings, &cluster, rng.random())).collect();
        let report = ask_for_ring(seeds.clone(), None, Instant::now() + settings.timeout).await?;
        cluster.get_or_init(|| report.cluster.clone());
        let view = View::new(report, seeds, &BTreeMap::new(), |a| open(a, &settings, &cluster, rng.random()));
        let state = Mutex::new(State { view: Arc::new(view), learnt_at: Instant::now(), rng });
        let learning = tokio::sync::Mutex::new(());
        Ok(Topology { settings, cluster, state, learning, learning_in_background: AtomicBool::new(false) })
    }

    /// How this client was built.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ring as it is known now.
    pub fn view(&self) -> Arc<View> {
        self.lock().view.clone()
    }

    /// The link to a node. If it is unknown here it may have come since: the ring is asked for first.
    ///
    /// # Errors
    /// [`ClientError::UnknownNode`], also if nobody shows a ring.
    pub async fn node(&self, node: NodeId, deadline: Instant) -> Result<Arc<Link>, ClientError> {
        if self.view().node(node).is_none()
            && let Err(error) = self.learn(None, None, deadline).await
        {
            log::debug!("the ring was not learnt: {error}");
        }
        self.view().node(node).cloned().ok_or(ClientError::UnknownNode(node))
    }

    /// A pause of about this length.
    pub fn jittered(&self, pause: Duration) -> Duration {
        pause.mul_f64(self.lock().rng.random_range(0.5..1.5))
    }

    /// Replaces the ring by one that is at least as new as `wanted`, asking `first` before the others.
    pub async fn learn(
        &self,
        wanted: Option<Epoch>,
        first: Option<Arc<Link>>,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let _alone = self.learning.lock().await;
        let view = self.view();
        if wanted.is_some_and(|epoch| view.report.ring.epoch >= epoch) {
            return Ok(());
        }
        let mut candidates: Vec<Arc<Link>> = view.members.values().chain(&view.seeds).cloned().collect();
        candidates.sort_by_key(|link| link.rank());
        let report = ask_for_ring(first.into_iter().chain(candidates).collect(), wanted, deadline).await?;
        let mut state = self.lock();
        state.learnt_at = Instant::now();
        if report.ring.epoch > view.report.ring.epoch {
            log::info!("the ring is at epoch {}", report.ring.epoch);
            let rng = &mut state.rng;
            let fresh = View::new(report, view.seeds.clone(), &view.members, |address| {
                open(address, &self.settings, &self.cluster, rng.random())
            });
            state.view = Arc::new(fresh);
        }
        Ok(())
    }

    /// An answer came from a ring of this epoch: learns it in the background if it is newer.
    pub fn saw_epoch(self: &Arc<Self>, epoch: Epoch) {
        if epoch > self.view().report.ring.epoch {
            self.learn_in_background(Some(epoch));
        }
    }

    /// A node failed: asks the others in the background whether the ring has changed.
    pub fn saw_failure(self: &Arc<Self>) {
        let recent = self.lock().learnt_at.elapsed() < LEARN_PAUSE;
        if !recent {
            self.learn_in_background(None);
        }
    }

    fn learn_in_background(self: &Arc<Self>, wanted: Option<Epoch>) {
        if self.learning_in_background.swap(true, Ordering::AcqRel) {
            return;
        }
        let topology = self.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + topology.settings.timeout;
            if let Err(error) = topology.learn(wanted, None, deadline).await {
                log::debug!("the ring was not learnt: {error}");
            }
            topology.learning_in_background.store(false, Ordering::Release);
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn new(
        report: RingReport,
        seeds: Vec<Arc<Link>>,
        before: &BTreeMap<StoreId, Arc<Link>>,
        mut open: impl FnMut(&str) -> Arc<Link>,
    ) -> View {
        let known: BTreeMap<&str, &Arc<Link>> =
            before.values().chain(&seeds).map(|link| (link.address(), link)).collect();
        let mut link_to = |address: &str| known.get(address).map_or_else(|| open(address), |&link| link.clone());
        let addresses = report.ring.members().iter().map(|m| (m.store, m.address.as_str()));
        let members = addresses.map(|(store, address)| (store, link_to(address))).collect();
        let buckets = report.buckets.iter().cloned().collect();
        View { report: Arc::new(report), buckets, members, seeds }
    }

    /// The best node to ask for a key that is not among those `tried`.
    pub fn pick(&self, key: &Key, n: Option<u8>, tried: &[Arc<Link>]) -> Option<Arc<Link>> {
        let partition = self.report.ring.partition_of(key);
        self.pick_owner(partition, self.replicas(key, n), key.token().0 as usize, tried)
    }

    /// The best node to ask for something of a partition that is not among those `tried`; `favourite`, any number, chooses among
    /// equals.
    pub fn pick_owner(&self, partition: Partition, n: u8, favourite: usize, tried: &[Arc<Link>]) -> Option<Arc<Link>> {
        let untried = |link: &&Arc<Link>| !tried.iter().any(|t| t.address() == link.address());
        let ring = &self.report.ring;
        let owners = ring.owners(partition).take(n as usize);
        let favourite = favourite % owners.len().max(1);
        let owners = owners.clone().skip(favourite).chain(owners.take(favourite)).map(|m| m.store);
        let links = owners.filter_map(|store| self.members.get(&store)).filter(untried);
        let best = links.min_by_key(|link| link.rank());
        if let Some(owner) = best
            && owner.rank() == Rank::Ready
        {
            return Some(owner.clone());
        }
        let others = ring.preference(partition, n).fallbacks;
        let others = others.iter().filter_map(|store| self.members.get(store)).filter(untried);
        let seeds = self.seeds.iter().filter(untried);
        best.into_iter()
            .chain(others)
            .min_by_key(|link| link.rank())
            .or_else(|| seeds.min_by_key(|link| link.rank()))
            .cloned()
    }

    /// The best node to ask for anything that is not among those `tried`.
    pub fn pick_any(&self, tried: &[Arc<Link>]) -> Option<Arc<Link>> {
        let all = self.members.values().chain(&self.seeds);
        all.filter(|link| !tried.iter().any(|t| t.address() == link.address())).min_by_key(|link| link.rank()).cloned()
    }

    /// The link to a node.
    pub fn node(&self, node: NodeId) -> Option<&Arc<Link>> {
        self.report.ring.node(node).and_then(|member| self.members.get(&member.store))
    }

    /// How many owners a request concerns.
    fn replicas(&self, key: &Key, n: Option<u8>) -> u8 {
        let bucket = std::str::from_utf8(&key.bucket).ok().and_then(|name| self.buckets.get(name));
        let most = bucket.and_then(|b| b.n).unwrap_or(self.report.ring.replication);
        n.unwrap_or(most).clamp(1, most.max(1))
    }
}

fn open(address: &str, settings: &Settings, cluster: &Arc<OnceLock<String>>, seed: u64) -> Arc<Link> {
    let dialling = Dialling {
        name: settings.name.clone(),
        cluster: cluster.clone(),
        connect_timeout: settings.connect_timeout,
        dead_after: settings.dead_after,
        seed,
    };
    Link::open(address.into(), dialling)
}

/// Asks one after the other, without waiting long for a silent one; the first ring that is new enough counts.
async fn ask_for_ring(
    links: Vec<Arc<Link>>,
    wanted: Option<Epoch>,
    deadline: Instant,
) -> Result<RingReport, ClientError> {
    let mut rest = links.into_iter();
    let mut asked = JoinSet::new();
    let mut tried = Vec::new();
    loop {
        match rest.next() {
            Some(link) => drop(asked.spawn(async move {
                let told = link.ask(Ask::Inspect(Inspect::Ring), deadline, None).await;
                (link.address().to_string(), told)
            })),
            None if asked.is_empty() => return Err(ClientError::Connect { tried }),
            None => {}
        }
        let answer = tokio::select! {
            biased;
            Some(answer) = asked.join_next() => answer,
            () = sleep(STAGGER), if rest.len() > 0 => continue,
        };
        let Ok((address, told)) = answer else { continue };
        let reason = match told {
            Ok(Told::Shown(Ok(shown))) => match *shown {
                Inspection::Ring(report) if wanted.is_none_or(|epoch| report.ring.epoch >= epoch) => return Ok(report),
                Inspection::Ring(report) => format!("its ring is at epoch {}", report.ring.epoch),
                _ => "it showed something else than the ring".into(),
            },
            Ok(Told::Shown(Err(failure))) => failure.to_string(),
            Ok(Told::Answer { .. } | Told::Tree(_) | Told::Listed { .. }) => {
                "it answered an inspection as something else".into()
            }
            Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => reason,
            Err(LinkError::Late { .. }) => "it did not answer in time".into(),
        };
        tried.push((address, reason));
    }
}
