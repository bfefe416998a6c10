//! Questions to the coordination service, through a node: for tools.
//!
//! Any node will do, so the first that is connected to the service answers. A write is sent once: it goes to another
//! node only if surely nothing was done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::link::{Ask, Link, LinkError, Told};
use super::{Client, ClientError};
use crate::core::id::NodeId;
use crate::wire::change::{ChangeAnswer, ChangeRequest};
use crate::wire::tree::{TreeAnswer, TreeFailure, TreeRequest};

impl Client {
    /// Asks the coordination service through any node that is connected to it. A watch waits its own time beside the
    /// client's.
    ///
    /// # Errors
    /// [`ClientError::Tree`] with the answer; [`ClientError::Connect`] if no node can be reached;
    /// [`ClientError::OutcomeUnknown`] if a write was sent and its answer never came.
    pub async fn tree(&self, request: TreeRequest) -> Result<TreeAnswer, ClientError> {
        let deadline = self.deadline(&request);
        let (mut tried, mut unreached, mut last) = (Vec::new(), Vec::new(), None);
        while let Some(link) = self.topology.view().pick_any(&tried) {
            match self.ask_tree(&link, request.clone(), deadline).await {
                Err(Unanswered::Elsewhere(failure)) => last = Some(failure),
                Err(Unanswered::Unreached(reason)) => {
                    self.topology.saw_failure();
                    unreached.push((link.address().to_string(), reason));
                }
                Err(Unanswered::For(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
            tried.push(link);
        }
        Err(last.map_or(ClientError::Connect { tried: unreached }, ClientError::Tree))
    }

    /// Asks about the ring's changes, or for one, through any node that is connected to the coordination service.
    ///
    /// # Errors
    /// As [`Client::tree`]; the answer is [`TreeFailure::Change`] if the ring is not changed so.
    pub async fn change(&self, request: ChangeRequest) -> Result<ChangeAnswer, ClientError> {
        match self.tree(TreeRequest::Change(request)).await? {
            TreeAnswer::Change(answer) => Ok(*answer),
            _ => {
                let reason = "it answered a question about ring changes as something else".into();
                Err(ClientError::Protocol { address: "the node".into(), reason })
            }
        }
    }

    /// Asks the coordination service through this node.
    ///
    /// # Errors
    /// As [`Client::tree`], and [`ClientError::UnknownNode`] if not even a ring that was just asked for knows it.
    pub async fn tree_through(&self, node: NodeId, request: TreeRequest) -> Result<TreeAnswer, ClientError> {
        let deadline = self.deadline(&request);
        let link = self.topology.node(node, deadline).await?;
        self.ask_tree(&link, request, deadline).await.map_err(|unanswered| match unanswered {
            Unanswered::Elsewhere(failure) => failure.into(),
            Unanswered::Unreached(reason) => ClientError::Connect { tried: vec![(link.address().into(), reason)] },
            Unanswered::For(error) => error,
        })
    }

    fn deadline(&self, request: &TreeRequest) -> Instant {
        let wait_ms = if let TreeRequest::Watch { wait_ms, .. } = request { *wait_ms } else { 0 };
        Instant::now() + self.topology.settings().timeout + Duration::from_millis(wait_ms.into())
    }

    async fn ask_tree(
        &self,
        link: &Arc<Link>,
        request: TreeRequest,
        deadline: Instant,
    ) -> Result<TreeAnswer, Unanswered> {
        let (is_write, began) = (request.is_write(), Instant::now());
        let address = || link.address().to_string();
        let unknown = |reason| Err(Unanswered::For(ClientError::OutcomeUnknown { address: address(), reason }));
        match link.ask(Ask::Tree(request), deadline, None).await {
            Ok(Told::Tree(Ok(answer))) => Ok(*answer),
            Ok(Told::Tree(Err(failure))) if failure.is_of_this_node() => Err(Unanswered::Elsewhere(failure)),
            Ok(Told::Tree(Err(failure))) => Err(Unanswered::For(failure.into())),
            Ok(Told::Answer { .. } | Told::Shown(_) | Told::Listed { .. }) => {
                let reason = "it answered a question to the coordination service as something else".into();
                Err(Unanswered::For(ClientError::Protocol { address: address(), reason }))
            }
            Err(LinkError::Lost(reason)) if is_write => unknown(reason),
            Err(LinkError::Late { sent: true }) if is_write => unknown("no answer came in time".into()),
            Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => Err(Unanswered::Unreached(reason)),
            Err(LinkError::Late { .. }) => {
                Err(Unanswered::For(ClientError::Timeout { address: address(), after: began.elapsed() }))
            }
        }
    }
}

/// Why a node's answer is not the result.
enum Unanswered {
    /// Another node should be asked; this is the result if there is none.
    Elsewhere(TreeFailure),
    /// It could not be reached, and surely nothing was done.
    Unreached(String),
    /// It is a result after all.
    For(ClientError),
}
