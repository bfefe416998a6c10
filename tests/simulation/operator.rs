//! The operator: changes who owns what while clients work.
//!
//! He does one deed after the other, through any node that answers, as `kv-cli cluster` does: he looks who is in the cluster, stages, looks
//! at the plan, commits. What comes in between, another change or a fault, makes him try again until the clients are done. To remove a
//! node he first has it killed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kv::client::{Client, ClientError};
use kv::core::id::NodeId;
use kv::core::ring::change::{Action, Standing};
use kv::wire::change::{ChangeAnswer, ChangeReport, ChangeRequest, NodePlanReport, PlanReport};
use kv::wire::tree::{TreeAnswer, TreeFailure, TreeRequest};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::history::What;
use crate::recorder::Recorder;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(300);
/// The share of a node, unless told otherwise.
const WEIGHT: u32 = 100;
/// Owners that must be left when one is killed.
const REPLICATION: usize = 3;

/// What an operator does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A guest becomes an owner.
    Join,
    /// An owner hands over all it has, ends, and comes back as a guest.
    Leave,
    /// A guest takes the places of an owner.
    Replace,
    /// An owner gets another share.
    SetWeight,
    /// Any of these is committed, and turned back some time later.
    TurnBack,
    /// An owner is killed, and removed when it is gone.
    Remove,
}

impl Deed {
    /// Each of them.
    pub const ALL: [Deed; 6] = [Deed::Join, Deed::Leave, Deed::Replace, Deed::SetWeight, Deed::TurnBack, Deed::Remove];
}

/// What operator, nemesis and judge tell each other.
#[derive(Default)]
pub struct Desk {
    /// Whom the operator wants dead, in this order.
    pub doomed: RefCell<Vec<NodeId>>,
    /// Whom he wants back.
    pub revived: RefCell<Vec<NodeId>>,
    /// Nodes that are dead at his wish.
    pub dead: RefCell<BTreeSet<NodeId>>,
    /// The clients are done: nothing new is begun.
    pub closing: Cell<bool>,
    /// Nothing more is to come.
    pub closed: Cell<bool>,
}

/// Asks any node about ring changes.
pub async fn ask(client: &Client, request: ChangeRequest) -> Result<ChangeAnswer, ClientError> {
    match client.tree(TreeRequest::Change(request)).await? {
        TreeAnswer::Change(answer) => Ok(*answer),
        other => panic!("{other:?} is no answer to a question about changes"),
    }
}

/// How the change is that runs, or the last one was.
pub async fn progress(client: &Client) -> Result<Option<Box<ChangeReport>>, ClientError> {
    match ask(client, ChangeRequest::Progress).await? {
        ChangeAnswer::Change(report) => Ok(report),
        other => panic!("{other:?} is no progress"),
    }
}

async fn plan(client: &Client) -> Result<PlanReport, ClientError> {
    match ask(client, ChangeRequest::Plan).await? {
        ChangeAnswer::Plan(report) => Ok(report),
        other => panic!("{other:?} is no plan"),
    }
}

/// What came of an attempt.
enum Attempt {
    /// This change was begun.
    Committed(u64),
    /// It may work later.
    Later(String),
    /// There is nobody to do it with.
    Impossible,
}

impl From<ClientError> for Attempt {
    fn from(error: ClientError) -> Attempt {
        Attempt::Later(error.to_string())
    }
}

/// The operator.
pub struct Operator {
    client: Client,
    recorder: Arc<Recorder>,
    desk: Rc<Desk>,
    rng: StdRng,
    /// The longest pause between two deeds.
    pause_max: Duration,
    /// Whether those whom he has killed come back.
    returns: bool,
    /// Whether he leaves it to the cluster to remove them.
    is_automatic: bool,
}

impl Operator {
    pub fn new(client: Client, recorder: Arc<Recorder>, desk: Rc<Desk>, seed: u64, habits: OperatorHabits) -> Operator {
        let OperatorHabits { pause_max, returns, is_automatic } = habits;
        let rng = StdRng::seed_from_u64(seed ^ 0x6f70_6572_6174_6f72);
        Operator { client, recorder, desk, rng, pause_max, returns, is_automatic }
    }

    /// Does all of it, or as much as there is time for.
    pub async fn run(mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            let pause = self.rng.random_range(Duration::ZERO..=self.pause_max);
            sleep(pause).await;
            if self.desk.closing.get() {
                break;
            }
            self.tell(format!("wants to {deed:?}"));
            match deed {
                Deed::Remove => self.kill_and_remove().await,
                Deed::TurnBack => self.turn_back().await,
                deed => drop(self.commit(deed).await),
            }
        }
        self.desk.closed.set(true);
    }

    fn tell(&self, what: String) {
        self.recorder.record(What::Operated(what));
    }

    /// Tries until it is committed, or cannot be.
    async fn commit(&mut self, deed: Deed) -> Option<u64> {
        while !self.desk.closing.get() {
            match self.attempt(deed).await {
                Attempt::Committed(number) => return Some(number),
                Attempt::Impossible => return None,
                Attempt::Later(why) => self.tell(format!("{deed:?} has to wait: {why}")),
            }
            sleep(AGAIN).await;
        }
        None
    }

    async fn attempt(&mut self, deed: Deed) -> Attempt {
        let report = match plan(&self.client).await {
            Ok(report) => report,
            Err(error) => return error.into(),
        };
        match self.actions(deed, &report.nodes) {
            Some(actions) => self.stage_and_commit(actions).await.unwrap_or_else(Attempt::from),
            None => Attempt::Impossible,
        }
    }

    async fn stage_and_commit(&self, actions: Vec<Action>) -> Result<Attempt, ClientError> {
        ask(&self.client, ChangeRequest::Clear).await?;
        for action in actions {
            ask(&self.client, ChangeRequest::Stage(action)).await?;
        }
        let PlanReport { version, refusals, running, actions, .. } = plan(&self.client).await?;
        if let Some(number) = running {
            return Ok(Attempt::Later(format!("change {number} runs")));
        }
        if let Some(refused) = refusals.first() {
            return Ok(Attempt::Later(refused.refusal.to_string()));
        }
        match ask(&self.client, ChangeRequest::Commit { version, force: false }).await? {
            ChangeAnswer::Committed { number, replicas } => {
                let actions: Vec<String> = actions.iter().map(Action::to_string).collect();
                self.tell(format!("change {number} moves {replicas} replicas: {}", actions.join(", ")));
                Ok(Attempt::Committed(number))
            }
            other => panic!("{other:?} does not say what was committed"),
        }
    }

    /// What is staged for a deed; `None` if there is nobody to do it with.
    fn actions(&mut self, deed: Deed, nodes: &[NodePlanReport]) -> Option<Vec<Action>> {
        let of = |standing| nodes.iter().filter(move |node| node.is_live && node.standing.0 == standing);
        let guests: Vec<&NodePlanReport> = of(Standing::Guest).collect();
        let owners: Vec<&NodePlanReport> = of(Standing::Owner).collect();
        let guest = guests.choose(&mut self.rng);
        let owner = owners.choose(&mut self.rng)?.node;
        Some(match deed {
            Deed::Join => joins(guest?),
            // With nobody to spare, somebody has to come instead.
            Deed::Leave if owners.len() <= REPLICATION => [vec![Action::Leave { node: owner }], joins(guest?)].concat(),
            Deed::Leave => vec![Action::Leave { node: owner }],
            Deed::Replace => {
                let by = guest?;
                let mut actions = vec![Action::Replace { node: owner, by: by.node }];
                actions.extend(weighs(by));
                actions
            }
            Deed::SetWeight => {
                let weight = *[WEIGHT / 2, WEIGHT, WEIGHT * 3].choose(&mut self.rng)?;
                vec![Action::Set { node: owner, weight: Some(weight), zone: None }]
            }
            Deed::TurnBack | Deed::Remove => return None,
        })
    }

    async fn turn_back(&mut self) {
        let deed = *[Deed::Join, Deed::Leave, Deed::Replace].choose(&mut self.rng).expect("some");
        let Some(number) = self.commit(deed).await else { return };
        let pause = self.rng.random_range(0..1500);
        sleep(Duration::from_millis(pause)).await;
        loop {
            match ask(&self.client, ChangeRequest::TurnBack { number }).await {
                Ok(_) => return self.tell(format!("change {number} is turned back")),
                // It has ended by now.
                Err(ClientError::Tree(TreeFailure::Change(failure))) => {
                    return self.tell(format!("change {number}: {failure}"));
                }
                Err(error) => self.tell(format!("change {number} is not turned back: {error}")),
            }
            sleep(AGAIN).await;
        }
    }

    /// Once it is dead it has to be removed, whatever comes, unless it returns: others could not settle.
    async fn kill_and_remove(&mut self) {
        let Some(victim) = self.victim().await else { return };
        self.desk.doomed.borrow_mut().push(victim.node);
        loop {
            sleep(AGAIN).await;
            let closing = self.desk.closing.get();
            if closing && self.returns {
                break;
            }
            match self.remove(&victim, closing).await {
                Attempt::Committed(_) | Attempt::Impossible => break,
                Attempt::Later(why) => self.tell(format!("node {} is not removed: {why}", victim.node)),
            }
        }
        if self.returns {
            let pause = self.rng.random_range(Duration::ZERO..=self.pause_max);
            sleep(pause).await;
            self.desk.revived.borrow_mut().push(victim.node);
        }
    }

    /// An owner whom the others can do without, when nothing else is under way.
    async fn victim(&mut self) -> Option<NodePlanReport> {
        while !self.desk.closing.get() {
            if let Ok(report) = plan(&self.client).await
                && report.running.is_none()
            {
                let is_owner = |node: &&NodePlanReport| node.is_live && node.standing.0 == Standing::Owner;
                let owners: Vec<&NodePlanReport> = report.nodes.iter().filter(is_owner).collect();
                let victim = owners.choose(&mut self.rng).copied().cloned();
                return victim.filter(|_| owners.len() > REPLICATION);
            }
            sleep(AGAIN).await;
        }
        None
    }

    async fn remove(&self, victim: &NodePlanReport, closing: bool) -> Attempt {
        let report = match plan(&self.client).await {
            Ok(report) => report,
            Err(error) => return error.into(),
        };
        if report.nodes.iter().all(|node| node.store != victim.store) {
            self.tell(format!("node {} is not in the ring any more", victim.node));
            return Attempt::Impossible;
        }
        if self.is_automatic && !closing {
            return Attempt::Later("the cluster has not removed it yet".into());
        }
        let guests = report.nodes.iter().filter(|node| node.is_live && node.standing.0 == Standing::Guest);
        let actions = [Action::Remove { node: victim.node }].into_iter().chain(guests.flat_map(joins));
        self.stage_and_commit(actions.collect()).await.unwrap_or_else(Attempt::from)
    }
}

/// How an operator goes about it.
#[derive(Clone, Copy, Debug)]
pub struct OperatorHabits {
    /// The longest pause between two deeds.
    pub pause_max: Duration,
    /// Whether nodes that he has killed come back.
    pub returns: bool,
    /// Whether he leaves it to the cluster to remove nodes that are gone.
    pub is_automatic: bool,
}

/// A guest becomes an owner. One that was none before has no share yet.
fn joins(guest: &NodePlanReport) -> Vec<Action> {
    [Action::Join { node: guest.node }].into_iter().chain(weighs(guest)).collect()
}

fn weighs(guest: &NodePlanReport) -> Option<Action> {
    Some(Action::Set { node: guest.node, weight: Some(WEIGHT), zone: None })
}
