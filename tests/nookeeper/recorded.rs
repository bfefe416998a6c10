//! A service that writes down what its client asks and is told, whoever provides it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{self, Error, Read, Service, Session, SessionState, Watch};
use kv::coordination::tree::{Change, Content, CreateMode, Listing, Outcome, Path, SessionId, Stat};
use kv::coordination::watch::Watched;
use tokio::sync::watch;

use crate::history::{Answer, Call, ClientId, WatchNumber};
use crate::recorder::Recorder;

/// The service as one client uses it.
pub struct Recorded {
    service: Arc<dyn Service>,
    recorder: Arc<Recorder>,
    client: ClientId,
}

impl Recorded {
    pub fn new(service: Arc<dyn Service>, recorder: Arc<Recorder>, client: ClientId) -> Recorded {
        Recorded { service, recorder, client }
    }
}

impl Service for Recorded {
    fn open(&self, timeout: Duration) -> api::Answer<'_, Box<dyn Session>> {
        Box::pin(async move {
            let asked = self.recorder.invoke(self.client, None, Call::Open { timeout });
            match self.service.open(timeout).await {
                Ok(session) => {
                    asked.opened(session.id(), session.timeout());
                    let (recorder, client) = (self.recorder.clone(), self.client);
                    Ok(Box::new(RecordedSession { session, recorder, client }) as Box<dyn Session>)
                }
                Err(error) => {
                    asked.answered(Answer::Failed(error.clone()));
                    Err(error)
                }
            }
        })
    }
}

struct RecordedSession {
    session: Box<dyn Session>,
    recorder: Arc<Recorder>,
    client: ClientId,
}

impl RecordedSession {
    /// Records a call when it is first polled, and its answer when there is one.
    fn record<'a, T: 'a>(
        &'a self,
        call: Call,
        answer: api::Answer<'a, T>,
        tell: impl Fn(&T) -> Answer + Send + 'a,
    ) -> api::Answer<'a, T> {
        Box::pin(async move {
            let asked = self.recorder.invoke(self.client, Some(self.session.id()), call);
            let result = answer.await;
            asked.answered(match &result {
                Ok(value) => tell(value),
                Err(error) => Answer::Failed(error.clone()),
            });
            result
        })
    }
}

impl Session for RecordedSession {
    fn id(&self) -> SessionId {
        self.session.id()
    }

    fn timeout(&self) -> Duration {
        self.session.timeout()
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.session.state()
    }

    fn renew(&self) -> api::Answer<'_, ()> {
        self.record(Call::Renew, self.session.renew(), |()| Answer::Done)
    }

    fn close(&self) -> api::Answer<'_, ()> {
        self.record(Call::Close, self.session.close(), |()| Answer::Done)
    }

    fn create(&self, path: &Path, data: Bytes, mode: CreateMode) -> api::Answer<'_, (Path, Stat)> {
        let call = Call::Create { path: path.clone(), data: data.clone(), mode };
        self.record(call, self.session.create(path, data, mode), |(path, stat)| Answer::Created {
            path: path.clone(),
            stat: stat.clone(),
        })
    }

    fn set(&self, path: &Path, data: Bytes, expected: Option<u64>) -> api::Answer<'_, Stat> {
        let call = Call::Set { path: path.clone(), data: data.clone(), expected };
        self.record(call, self.session.set(path, data, expected), |stat| Answer::Set(stat.clone()))
    }

    fn delete(&self, path: &Path, expected: Option<u64>) -> api::Answer<'_, ()> {
        let call = Call::Delete { path: path.clone(), expected };
        self.record(call, self.session.delete(path, expected), |()| Answer::Done)
    }

    /// Not recorded: no check knows of writes to several nodes.
    fn multi(&self, changes: Vec<Change>) -> api::Answer<'_, Vec<Outcome>> {
        self.session.multi(changes)
    }

    fn get(&self, path: &Path) -> api::Answer<'_, Read<Content>> {
        let call = Call::Get { path: path.clone() };
        self.record(call, self.session.get(path), |read| Answer::Content(read.clone()))
    }

    fn exists(&self, path: &Path) -> api::Answer<'_, Read<Option<Stat>>> {
        let call = Call::Exists { path: path.clone() };
        self.record(call, self.session.exists(path), |read| Answer::Stat(read.clone()))
    }

    fn children(&self, path: &Path) -> api::Answer<'_, Read<Listing>> {
        let call = Call::Children { path: path.clone() };
        self.record(call, self.session.children(path), |read| Answer::Listing(read.clone()))
    }

    fn sync(&self) -> api::Answer<'_, ()> {
        self.record(Call::Sync, self.session.sync(), |()| Answer::Done)
    }

    fn watch(&self, path: &Path, watched: Watched) -> api::Answer<'_, Box<dyn Watch>> {
        let number = self.recorder.next_watch();
        let call = Call::Watch { path: path.clone(), watched, watch: number };
        let watch = self.record(call, self.session.watch(path, watched), |_| Answer::Done);
        Box::pin(async move {
            let (recorder, client, session) = (self.recorder.clone(), self.client, self.session.id());
            Ok(Box::new(RecordedWatch { watch: watch.await?, recorder, client, session, number }) as Box<dyn Watch>)
        })
    }
}

struct RecordedWatch {
    watch: Box<dyn Watch>,
    recorder: Arc<Recorder>,
    client: ClientId,
    session: SessionId,
    number: WatchNumber,
}

impl Watch for RecordedWatch {
    fn changed(&mut self) -> api::Answer<'_, ()> {
        Box::pin(async {
            let call = Call::Changed { watch: self.number };
            let asked = self.recorder.invoke(self.client, Some(self.session), call);
            let result: Result<(), Error> = self.watch.changed().await;
            asked.answered(result.clone().map_or_else(Answer::Failed, |()| Answer::Done));
            result
        })
    }
}
