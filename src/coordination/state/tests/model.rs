//! The service as simply as it can be said: texts for paths, scans for indices, copies for transactions, and every reply
//! kept for ever.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::coordination::state::{Action, Answer, Reply, State};
use crate::coordination::tree::{Change, CreateMode, Limits, Outcome, Path, Refusal, Revision, SessionId, Stat};

#[derive(Clone, PartialEq, Debug)]
struct Node {
    data: Bytes,
    owner: Option<SessionId>,
    created: u64,
    modified: u64,
    version: u64,
    /// Every child it ever had, with what became of it.
    births: u64,
    deaths: u64,
    numbered: u64,
}

#[derive(Default)]
struct Session {
    timeout_ms: u64,
    /// By the clock of the leader of the time.
    heard_ms: u64,
    settled_below: u64,
    replies: BTreeMap<u64, Reply>,
}

/// See the module.
pub struct Model {
    nodes: BTreeMap<String, Node>,
    revision: u64,
    term: u64,
    now_ms: u64,
    opened: u64,
    sessions: BTreeMap<SessionId, Session>,
}

fn text(path: &Path) -> String {
    path.as_str().to_owned()
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(end) => &path[..end],
        None => panic!("no path: {path}"),
    }
}

fn to_path(text: &str) -> Path {
    text.parse().expect("a path")
}

impl Model {
    pub fn new() -> Model {
        let mut model =
            Model { nodes: BTreeMap::new(), revision: 0, term: 0, now_ms: 0, opened: 0, sessions: BTreeMap::new() };
        model.nodes.insert("/".into(), model.newborn("".into(), None));
        model
    }

    /// Does what the state machine should do; answers the reply.
    pub fn apply(&mut self, term: u64, now_ms: u64, action: Action) -> Reply {
        if term > self.term {
            (self.term, self.now_ms) = (term, now_ms);
            self.sessions.values_mut().for_each(|session| session.heard_ms = now_ms);
        }
        self.now_ms = self.now_ms.max(now_ms);
        match action {
            Action::Open { timeout_ms } => {
                self.opened += 1;
                let Limits { session_timeout_min_ms: min, session_timeout_max_ms: max, .. } = Limits::default();
                let timeout_ms = timeout_ms.clamp(min, max);
                let session = Session { timeout_ms, heard_ms: self.now_ms, ..Session::default() };
                self.sessions.insert(SessionId(self.opened), session);
                Ok(Answer::Opened { session: SessionId(self.opened), timeout_ms })
            }
            Action::Renew { session } => self.hear(session).map(|_| Answer::Done),
            Action::Close { session } => {
                self.hear(session)?;
                self.end(session);
                Ok(Answer::Done)
            }
            Action::Expire => {
                let over = |session: &Session| self.now_ms - session.heard_ms >= session.timeout_ms;
                let over: Vec<_> = self.sessions.iter().filter(|(_, s)| over(s)).map(|(id, _)| *id).collect();
                over.into_iter().for_each(|session| self.end(session));
                Ok(Answer::Done)
            }
            Action::Write { session, sequence, settled_below, changes } => {
                let known = self.hear(session)?;
                known.settled_below = known.settled_below.max(settled_below);
                if sequence < known.settled_below {
                    return Err(Refusal::GivenUp { sequence });
                }
                if let Some(reply) = known.replies.get(&sequence) {
                    return reply.clone();
                }
                let reply = self.write(session, changes);
                self.hear(session)?.replies.insert(sequence, reply.clone());
                reply
            }
            Action::SetLimits(_) => panic!("the model has no limits"),
        }
    }

    /// Panics where a reader would see something else than the model holds.
    pub fn assert_same(&self, state: &State) {
        let tree = state.tree();
        assert_eq!(tree.revision(), Revision(self.revision));
        assert_eq!(Vec::from_iter(state.sessions()), Vec::from_iter(self.sessions.keys().copied()));
        let mut listed = 0;
        for (at, node) in &self.nodes {
            let path = to_path(at);
            let content = tree.get(&path).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert_eq!((&content.data, &content.stat), (&node.data, &self.stat(at)), "{at}");
            let names: Vec<&str> = self.below(at).map(|child| child.rsplit('/').next().expect("a name")).collect();
            listed += names.len();
            assert_eq!(
                tree.children(&path).map(|listing| listing.names),
                Ok(names.iter().map(|n| n.to_string()).collect())
            );
            assert_eq!(
                node.owner.is_some_and(|owner| tree.owned(owner).any(|owned| *owned == path)),
                node.owner.is_some()
            );
        }
        assert_eq!(listed + 1, self.nodes.len());
        let owned: usize = (0..=self.opened).map(|session| tree.owned(SessionId(session)).count()).sum();
        assert_eq!(owned, self.nodes.values().filter(|node| node.owner.is_some()).count());
    }

    /// Paths at which a reader sees something else here than in another state of the model, children aside.
    pub fn changed_since(&self, before: &Snapshot) -> Vec<Path> {
        let differs = |at: &&String| {
            let key = |nodes: &BTreeMap<String, Node>| nodes.get(*at).map(|node| (node.created, node.modified));
            key(&self.nodes) != key(&before.0)
        };
        self.nodes.keys().chain(before.0.keys()).filter(differs).map(|at| to_path(at)).collect()
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.nodes.clone())
    }

    fn newborn(&self, data: Bytes, owner: Option<SessionId>) -> Node {
        let now = self.revision;
        Node { data, owner, created: now, modified: now, version: 0, births: 0, deaths: 0, numbered: 0 }
    }

    fn below(&self, at: &str) -> impl Iterator<Item = &String> {
        self.nodes.keys().filter(move |other| *other != "/" && parent(other) == at)
    }

    fn stat(&self, at: &str) -> Stat {
        let node = &self.nodes[at];
        Stat {
            created: Revision(node.created),
            modified: Revision(node.modified),
            version: node.version,
            children_version: node.births + node.deaths,
            owner: node.owner,
            data_bytes: node.data.len() as u64,
            children: self.below(at).count() as u64,
        }
    }

    fn hear(&mut self, id: SessionId) -> Result<&mut Session, Refusal> {
        let session = self.sessions.get_mut(&id).ok_or(Refusal::SessionExpired { session: id })?;
        session.heard_ms = self.now_ms;
        Ok(session)
    }

    fn end(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        let owned = self.nodes.iter().filter(|(_, node)| node.owner == Some(session));
        let owned: Vec<String> = owned.map(|(at, _)| at.clone()).collect();
        self.revision += u64::from(!owned.is_empty());
        owned.iter().for_each(|at| self.bury(at));
    }

    fn bury(&mut self, at: &str) {
        self.nodes.remove(at);
        self.nodes.get_mut(parent(at)).expect("a parent").deaths += 1;
    }

    fn write(&mut self, session: SessionId, changes: Vec<Change>) -> Reply {
        let before = (self.nodes.clone(), self.revision);
        self.revision += 1;
        let outcomes: Result<Vec<Outcome>, Refusal> =
            changes.into_iter().map(|change| self.change(session, change)).collect();
        let changed = outcomes.iter().flatten().any(|outcome| *outcome != Outcome::Checked);
        if !changed {
            (self.nodes, self.revision) = before;
        }
        outcomes.map(Answer::Written)
    }

    fn change(&mut self, session: SessionId, change: Change) -> Result<Outcome, Refusal> {
        match change {
            Change::Create { path, data, mode } => self.create(session, path, data, mode),
            Change::Set { path, data, expected } => {
                let now = self.revision;
                let node = self.expect(&path, expected)?;
                (node.data, node.version, node.modified) = (data, node.version + 1, now);
                Ok(Outcome::Set(self.stat(path.as_str())))
            }
            Change::Delete { path, .. } if path.is_root() => Err(Refusal::RootStays),
            Change::Delete { path, expected } => {
                self.expect(&path, expected)?;
                if self.below(path.as_str()).next().is_some() {
                    return Err(Refusal::NotEmpty { path });
                }
                self.bury(path.as_str());
                Ok(Outcome::Deleted)
            }
            Change::Check { path, expected } => self.expect(&path, expected).map(|_| Outcome::Checked),
        }
    }

    fn create(&mut self, me: SessionId, path: Path, data: Bytes, mode: CreateMode) -> Result<Outcome, Refusal> {
        if path.is_root() {
            return Err(Refusal::NodeExists { path });
        }
        let mut at = text(&path);
        let above = parent(&at).to_owned();
        let Some(node) = self.nodes.get(&above) else { return Err(Refusal::NoNode { path: to_path(&above) }) };
        let mut number = node.numbered;
        if mode.is_sequential() {
            while self.nodes.contains_key(&format!("{path}{number:010}")) {
                number += 1;
            }
            at = format!("{path}{number:010}");
            number += 1;
        }
        if self.nodes.contains_key(&at) {
            return Err(Refusal::NodeExists { path: to_path(&at) });
        }
        if node.owner.is_some() {
            return Err(Refusal::NoChildrenForEphemerals { path: to_path(&above) });
        }
        let newborn = self.newborn(data, mode.is_ephemeral().then_some(me));
        let node = self.nodes.get_mut(&above).expect("just seen");
        (node.births, node.numbered) = (node.births + 1, number);
        self.nodes.insert(at.clone(), newborn);
        Ok(Outcome::Created { path: to_path(&at), stat: self.stat(&at) })
    }

    fn expect(&mut self, path: &Path, expected: Option<u64>) -> Result<&mut Node, Refusal> {
        let node = self.nodes.get_mut(path.as_str()).ok_or_else(|| Refusal::NoNode { path: path.clone() })?;
        match expected {
            Some(expected) if expected != node.version => Err(Refusal::BadVersion { path: path.clone(), expected }),
            _ => Ok(node),
        }
    }
}

/// The model's nodes at one moment.
pub struct Snapshot(BTreeMap<String, Node>);
