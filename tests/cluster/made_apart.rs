//! Two clusters of one name that were made apart never become one.

use kv::core::id::ClusterId;
use kv::wire::handshake::{Hello, Keeper, Refusal, Role, Welcome};

use crate::inspection::{cluster, roles, status};
use crate::native::greet;
use crate::process::Cluster;
use crate::wait::until;

/// Two of three nodes lose everything and make a cluster of their own, under the old name and at the old addresses. The third
/// one still belongs to the first.
#[tokio::test]
async fn the_rest_of_the_first_is_refused() {
    const LEFT: u32 = 3;
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    client.put("of the first", "1").w(3).strict().await.unwrap();
    let store = status(&client, LEFT).await.store;
    nodes.kill(&[1, 2, LEFT]);
    nodes.wipe(1);
    nodes.wipe(2);
    nodes.run(1);
    nodes.run(2);
    nodes.wait_until_linked().await;

    nodes.run(LEFT);
    let end = nodes.wait_for_end(LEFT).await;
    let said = nodes.log(LEFT);
    assert_eq!(end.code(), Some(1), "{said}");
    assert!(said.contains("which was made apart from yours. Start this node with an empty data directory"), "{said}");

    // Neither its store nor its data came into the second one.
    let client = nodes.client().await;
    let report = cluster(&client, 1).await.unwrap();
    assert!(report.members.iter().all(|member| member.store != store), "{report:#?}");
    assert!(client.get("of the first").await.unwrap().values.is_empty());
    // As it was told, it may come in as a new one.
    nodes.wipe(LEFT);
    nodes.run(LEFT);
    until("it is a voter of the second", async || {
        (roles(&cluster(&client, 1).await?) == (vec![1, 2, 3], vec![])).then_some(())
    })
    .await;
}

/// A node of one is told to join the other.
#[tokio::test]
async fn a_member_of_one_cannot_join_the_other() {
    let mut first = Cluster::start().await;
    let second = Cluster::start().await;
    let id = first.add(1);
    first.restart(id).await;
    first.kill(&[id]);
    first.point(id, second.address(1));
    first.run(id);
    let end = first.wait_for_end(id).await;
    let said = first.log(id);
    assert_eq!(end.code(), Some(1), "{said}");
    assert!(said.contains("which was made apart from yours"), "{said}");
    let members = cluster(&second.client().await, 1).await.unwrap().members.len();
    assert_eq!(members, 3);

    // What it said at the door, said by anybody.
    let client = first.client().await;
    let shown = status(&client, 1).await;
    let keeper = Keeper {
        cluster: Some(ClusterId(1)),
        generation: 0,
        node: Some(shown.node),
        start: kv::core::id::Start { store: shown.store, number: 1, nonce: 1 },
        address: first.address(1).into(),
    };
    let (welcome, _) = greet(second.address(1), &Hello::new(Some("test".into()), Role::Keeper(keeper))).await;
    assert!(matches!(welcome, Welcome::Refused(Refusal::OtherCluster { .. })), "{welcome:?}");
}
