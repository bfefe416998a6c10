//! The buckets as the service has them. What may be set is the registry's to judge.

use super::Clerk;
use crate::coordination::api::Session;
use crate::coordination::registry::{self, BucketChanges};
use crate::wire::tree::{BucketsReport, TreeAnswer, TreeFailure};

/// Properties in one request; a bucket has fewer.
const PROPERTIES_MAX: usize = 16;

impl Clerk {
    /// All buckets with properties of their own.
    pub(super) async fn buckets(&self, session: &dyn Session) -> Result<TreeAnswer, TreeFailure> {
        // An operator may have set one through another node a moment ago.
        session.sync().await.map_err(|error| self.tell(error))?;
        let view = registry::read(session).await.map_err(|error| self.tell_registry(error))?;
        Ok(TreeAnswer::Buckets(BucketsReport {
            epoch: view.ring.epoch,
            replication: view.cluster.replication,
            buckets: view.buckets.into_iter().collect(),
        }))
    }

    /// Changes properties of a bucket.
    pub(super) async fn set_bucket(
        &self,
        session: &dyn Session,
        bucket: &str,
        properties: &[(String, String)],
    ) -> Result<TreeAnswer, TreeFailure> {
        if properties.is_empty() || properties.len() > PROPERTIES_MAX {
            let reason = format!("give from 1 to {PROPERTIES_MAX} properties to set");
            return Err(TreeFailure::Invalid { reason });
        }
        let mut changes = BucketChanges::default();
        for (property, value) in properties {
            changes.add(property, value).map_err(|error| self.tell_registry(error))?;
        }
        let set = registry::set_bucket(session, bucket, &changes).await.map_err(|error| self.tell_registry(error))?;
        let view = registry::read(session).await.map_err(|error| self.tell_registry(error))?;
        Ok(TreeAnswer::BucketSet { epoch: view.ring.epoch, replication: view.cluster.replication, bucket: set })
    }
}
