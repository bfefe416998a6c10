//! Copies that called and were refused: whoever refuses them tells the operators.
//!
//! A copy gets no session of the coordination service, so it cannot register and be named by the registry. The member that
//! refuses it at the door raises the alarm instead, with its own session.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::coordination::registry::{Alarm, AlarmKind, Rest};
use crate::core::id::{NodeId, StoreId};
use crate::wire::handshake::{Keeper, Refusal};

/// A copy beside its original is named once it was refused for so long. Before that it may be a node that was restarted so
/// quickly that links of its earlier start were not known to be dead.
const CLONED_FOR_SURE: Duration = Duration::from_secs(5);
/// Refusals further apart than this are about different matters.
const AGAIN: Duration = Duration::from_secs(5);
/// The most stores that are kept in mind. Others have to wait until these are told of.
const SUSPECTS_MAX: usize = 64;

/// Who was refused, until it is told.
#[derive(Default)]
pub struct Suspects {
    refused: Mutex<BTreeMap<StoreId, Suspect>>,
    news: Notify,
}

struct Suspect {
    alarm: Alarm,
    first: Instant,
    last: Instant,
    told: bool,
}

impl Suspects {
    /// Notes that a caller was refused; `registered` is the latest start of its store that is known, `now_ms` the time since
    /// 1970. Refusals that say nothing of copies are not noted.
    pub fn note(&self, caller: &Keeper, refusal: &Refusal, registered: Option<u64>, now_ms: u64) {
        let kind = match refusal {
            Refusal::RolledBack { .. } => AlarmKind::RolledBack,
            Refusal::Cloned { .. } => AlarmKind::Cloned,
            Refusal::Replaced { .. } => AlarmKind::Replaced,
            _ => return,
        };
        let alarm = Alarm {
            kind,
            node: caller.node.unwrap_or(NodeId(0)),
            address: caller.address.clone(),
            start: caller.start.number,
            nonce: caller.start.nonce,
            registered: registered.unwrap_or(caller.start.number),
            since_ms: now_ms,
            rest: Rest::new(),
        };
        let mut refused = self.lock();
        let (store, now) = (caller.start.store, Instant::now());
        refused.retain(|_, suspect| now - suspect.last < AGAIN);
        if refused.len() >= SUSPECTS_MAX && !refused.contains_key(&store) {
            return;
        }
        let same = |suspect: &Suspect| (Alarm { since_ms: suspect.alarm.since_ms, ..alarm.clone() }) == suspect.alarm;
        match refused.get_mut(&store) {
            Some(suspect) if same(suspect) => suspect.last = now,
            _ => _ = refused.insert(store, Suspect { alarm, first: now, last: now, told: false }),
        }
        drop(refused);
        self.news.notify_one();
    }

    /// Waits for one that is to be told of.
    pub async fn next(&self) -> (StoreId, Alarm) {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.news.notified().await;
        }
    }

    /// It was not told after all.
    pub fn put_back(&self, store: StoreId) {
        if let Some(suspect) = self.lock().get_mut(&store) {
            suspect.told = false;
        }
    }

    fn take(&self) -> Option<(StoreId, Alarm)> {
        let mut refused = self.lock();
        let is_sure = |suspect: &Suspect| {
            suspect.alarm.kind != AlarmKind::Cloned || suspect.last - suspect.first >= CLONED_FOR_SURE
        };
        let (store, suspect) = refused.iter_mut().find(|(_, suspect)| !suspect.told && is_sure(suspect))?;
        suspect.told = true;
        Some((*store, suspect.alarm.clone()))
    }

    /// Nothing under this lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, Suspect>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::core::id::{ClusterId, Start};
    use tokio::time::{advance, timeout};

    fn caller(number: u64) -> Keeper {
        Keeper {
            cluster: Some(ClusterId(1)),
            generation: 0,
            node: Some(NodeId(3)),
            start: Start { store: StoreId(3), number, nonce: 7 },
            address: "copy:1".into(),
        }
    }

    async fn told(suspects: &Suspects) -> Option<AlarmKind> {
        let (store, alarm) = timeout(Duration::from_millis(1), suspects.next()).await.ok()?;
        assert_eq!((store, alarm.node, alarm.address.as_str()), (StoreId(3), NodeId(3), "copy:1"));
        Some(alarm.kind)
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_was_rolled_back_is_told_once() {
        let suspects = Suspects::default();
        let refusal = Refusal::RolledBack { store: StoreId(3), seen: 9 };
        suspects.note(&caller(4), &refusal, Some(9), 1);
        assert_eq!(told(&suspects).await, Some(AlarmKind::RolledBack));
        suspects.note(&caller(4), &refusal, Some(9), 2);
        assert_eq!(told(&suspects).await, None);
        suspects.put_back(StoreId(3));
        assert_eq!(told(&suspects).await, Some(AlarmKind::RolledBack), "the service did not take it");
        suspects.note(&caller(5), &refusal, Some(9), 3);
        assert_eq!(told(&suspects).await, Some(AlarmKind::RolledBack), "another start is another matter");
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_told_when_it_keeps_calling() {
        let suspects = Suspects::default();
        let refusal = Refusal::Cloned { store: StoreId(3), address: "n3:1".into() };
        for _ in 0..5 {
            suspects.note(&caller(4), &refusal, Some(3), 1);
            assert_eq!(told(&suspects).await, None);
            advance(Duration::from_secs(1)).await;
        }
        suspects.note(&caller(4), &refusal, Some(3), 1);
        assert_eq!(told(&suspects).await, Some(AlarmKind::Cloned));
        advance(AGAIN).await;
        suspects.note(&caller(4), &refusal, Some(3), 1);
        assert_eq!(told(&suspects).await, None, "it may be a quick restart this time");
    }

    #[tokio::test(start_paused = true)]
    async fn other_refusals_are_nobody_s_alarm() {
        let suspects = Suspects::default();
        suspects.note(&caller(4), &Refusal::Recovered { generation: 1 }, None, 1);
        assert_eq!(told(&suspects).await, None);
    }
}
