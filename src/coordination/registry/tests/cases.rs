//! What becomes of a store, case by case.

use super::*;
use crate::config::ClusterConfig;
use crate::coordination::tree::Path;
use crate::core::id::Epoch;
use crate::wire::handshake;

fn epoch(counter: u64) -> Epoch {
    Epoch { generation: 0, counter }
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_cluster_is_founded_once() {
    let (service, session) = founded().await;
    let again = found(&*session, &founding(7), 2, &mut counted()).await.unwrap();
    assert_eq!(again.made_ms, 1);
    let other = found(&*open(&service).await, &founding(8), 3, &mut counted()).await;
    assert_eq!(other, Err(Error::OtherCluster { id: ClusterId(7), name: "test".into() }));
}

#[tokio::test]
async fn what_could_not_work_is_not_founded() {
    let session = open(&Local::new()).await;
    let twice = Founding { nodes: [founding(7).nodes, founding(7).nodes].concat(), ..founding(7) };
    let strange_voter = Founding { voters: vec![NodeId(9)], ..founding(7) };
    let odd_partitions = Founding { partitions: 15, ..founding(7) };
    let unmet = BTreeMap::from([("b".into(), crate::core::bucket::Bucket { n: Some(4), ..Default::default() })]);
    for bad in [twice, strange_voter, odd_partitions, Founding { buckets: unmet, ..founding(7) }] {
        let refused = found(&*session, &bad, 1, &mut counted()).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(read(&*session).await, Err(Error::NotFounded));
    assert_eq!(register(&*session, &fresh(1, 0xa), 1).await, Err(Error::NotFounded));
}

#[tokio::test]
async fn the_ring_is_whole_before_the_nodes_come_and_they_adopt_its_stores() {
    let (_, session) = founded().await;
    let view = read(&*session).await.unwrap();
    assert_eq!(view.membership().members.iter().map(|m| m.store.0).collect::<Vec<_>>(), [1, 2, 3]);
    let admitted = register(&*session, &fresh(2, 0xb), 5).await.unwrap();
    assert_eq!((admitted.store, admitted.standing, admitted.epoch), (StoreId(2), Standing::Owner, epoch(1)));
    // The answer never reached it: it says the same again, at its next start.
    let later = Joiner { start: Start { number: 2, nonce: 101, ..fresh(2, 0xb).start }, ..fresh(2, 0xb) };
    assert_eq!(register(&*session, &later, 6).await.unwrap().store, StoreId(2));
    assert_eq!(register(&*session, &again(&admitted, 3, 102), 7).await.unwrap().store, StoreId(2));
    let record = &read(&*session).await.unwrap().stores[&StoreId(2)];
    assert_eq!((record.state, record.start, record.since_ms), (StoreState::Member, 3, 5));
}

#[tokio::test]
async fn a_founder_s_own_store_keeps_its_id() {
    let session = open(&Local::new()).await;
    let mut founding = founding(7);
    founding.nodes[0].1 = Some(StoreId(0xa));
    found(&*session, &founding, 1, &mut counted()).await.unwrap();
    // It takes part before its start is registered: the embedded service runs on it. Reserved stores are nobody's yet.
    let roster = read(&*session).await.unwrap().roster();
    assert_eq!(Vec::from_iter(&roster.voters), [&StoreId(0xa)]);
    assert_eq!(Vec::from_iter(roster.members.keys()), [&StoreId(0xa)]);
    assert_eq!(register(&*session, &fresh(1, 0xa), 2).await.unwrap().store, StoreId(0xa));
}

#[tokio::test]
async fn a_new_node_is_a_guest_with_the_next_number() {
    let (_, session) = founded().await;
    let unnumbered = Joiner { node: None, ..fresh(8, 0x80) };
    let admitted = register(&*session, &unnumbered, 1).await.unwrap();
    assert_eq!((admitted.node, admitted.store, admitted.standing), (NodeId(4), StoreId(0x80), Standing::Guest));
    assert_eq!(register(&*session, &unnumbered, 1).await.unwrap(), admitted, "the same again changes nothing");
    let view = read(&*session).await.unwrap();
    assert_eq!(view.ring.epoch, epoch(2));
    assert_eq!(view.membership().members[3].weight, 0);
    assert_eq!(Vec::from_iter(view.roster().members.into_keys()), [StoreId(0x80)]);
    assert!(view.roster().voters.is_empty(), "it was not named as a voter");

    let taken = Joiner { node: Some(NodeId(9)), address: address(1), ..fresh(9, 0x90) };
    let refused = register(&*session, &taken, 1).await;
    assert_eq!(refused, Err(Error::AddressTaken { address: address(1), node: NodeId(1) }));
}

#[tokio::test]
async fn a_changed_address_raises_the_epoch_and_a_restart_does_not() {
    let (service, session) = founded().await;
    let admitted = register(&*session, &fresh(1, 0xa), 1).await.unwrap();
    session.close().await.unwrap();
    let session = open(&service).await;
    assert_eq!(register(&*session, &again(&admitted, 2, 5), 2).await.unwrap().epoch, epoch(1));
    session.close().await.unwrap();
    let session = open(&service).await;
    let moved = Joiner { address: "elsewhere:1".into(), ..again(&admitted, 3, 6) };
    assert_eq!(register(&*session, &moved, 3).await.unwrap().epoch, epoch(2));
    assert_eq!(read(&*session).await.unwrap().present(NodeId(1)).unwrap().address, "elsewhere:1");
}

#[tokio::test]
async fn a_wiped_node_comes_back_as_a_guest_and_its_voice_goes_with_it() {
    let (service, session) = founded().await;
    register(&*session, &fresh(2, 0xb), 1).await.unwrap();
    assert_eq!(Vec::from_iter(read(&*session).await.unwrap().roster().voters), [StoreId(2)]);
    let other = open(&service).await;
    let refused = register(&*other, &fresh(2, 0xbb), 2).await;
    assert_eq!(refused, Err(Error::NodeAlive { node: NodeId(2), address: address(2), store: StoreId(2) }));
    session.close().await.unwrap();
    let admitted = register(&*other, &fresh(2, 0xbb), 3).await.unwrap();
    assert_eq!((admitted.store, admitted.standing, admitted.epoch), (StoreId(0xbb), Standing::Guest, epoch(2)));

    let view = read(&*other).await.unwrap();
    let old = view.ring.members.iter().find(|member| member.store == StoreId(2)).unwrap();
    assert_eq!((old.standing, old.placed().node, old.placed().weight), (Standing::Replaced, NodeId(0), 100));
    assert_eq!(view.present(NodeId(2)).unwrap().store, StoreId(0xbb));
    assert_eq!(Vec::from_iter(view.roster().voters), [StoreId(0xbb)]);
    assert_eq!(Vec::from_iter(view.roster().members.into_keys()), [StoreId(0xbb)]);

    // Wiped once more: the guest leaves nothing behind, the owner stays.
    other.close().await.unwrap();
    let third = open(&service).await;
    register(&*third, &fresh(2, 0xbbb), 4).await.unwrap();
    let stores: Vec<u128> = read(&*third).await.unwrap().ring.members.iter().map(|m| m.store.0).collect();
    assert_eq!(stores, [1, 2, 3, 0xbbb]);
    // And the first store is found in a drawer.
    let found = register(&*third, &Joiner { node: Some(NodeId(2)), ..again(&admitted, 9, 9) }, 5).await;
    assert_eq!(found, Err(Verdict::Replaced { store: StoreId(0xbb), node: NodeId(2), by: StoreId(0xbbb) }.into()));
}

#[tokio::test]
async fn a_store_that_was_rolled_back_is_refused_and_named() {
    let (service, session) = founded().await;
    let admitted = register(&*session, &fresh(3, 0xc), 1).await.unwrap();
    register(&*session, &again(&admitted, 5, 50), 2).await.unwrap();
    let rolled_back = |shown| Err(Verdict::RolledBack { store: StoreId(3), shown, seen: 5 }.into());
    let restored = open(&service).await;
    assert_eq!(register(&*restored, &again(&admitted, 4, 44), 3).await, rolled_back(4));
    session.close().await.unwrap();
    assert_eq!(register(&*restored, &again(&admitted, 5, 55), 4).await, rolled_back(5));
    // Also if the backup is from before it belonged to the cluster.
    assert_eq!(
        register(&*restored, &Joiner { start: Start { nonce: 1, ..fresh(3, 0xc).start }, ..fresh(3, 0xc) }, 5).await,
        rolled_back(1)
    );

    let alarm = |view: &View| view.alarms.get(&StoreId(3)).map(|alarm| (alarm.kind, alarm.start, alarm.since_ms));
    assert_eq!(alarm(&read(&*restored).await.unwrap()), Some((AlarmKind::RolledBack, 1, 5)));
    // Calling again and again is one alarm.
    let before = read(&*restored).await.unwrap().revision;
    register(&*restored, &Joiner { start: Start { nonce: 1, ..fresh(3, 0xc).start }, ..fresh(3, 0xc) }, 6)
        .await
        .unwrap_err();
    assert_eq!(read(&*restored).await.unwrap().revision, before);
    // It begins anew. What was forgotten stays a matter for an operator.
    register(&*restored, &fresh(3, 0xcc), 7).await.unwrap();
    assert_eq!(alarm(&read(&*restored).await.unwrap()), Some((AlarmKind::RolledBack, 1, 5)));
}

#[tokio::test]
async fn a_clone_is_refused_and_named_while_the_original_lives() {
    let (service, session) = founded().await;
    let admitted = register(&*session, &fresh(1, 0xa), 1).await.unwrap();
    register(&*session, &again(&admitted, 5, 50), 1).await.unwrap();
    let other = open(&service).await;
    let clone = |number| Joiner { address: "copy:1".into(), ..again(&admitted, number, 51) };
    for number in [4, 5] {
        let refused = register(&*other, &clone(number), 2).await;
        assert_eq!(refused, Err(Verdict::Cloned { store: StoreId(1), address: address(1) }.into()));
    }
    let alarm = &read(&*other).await.unwrap().alarms[&StoreId(1)];
    assert_eq!((alarm.kind, alarm.address.as_str(), alarm.node), (AlarmKind::Cloned, "copy:1", NodeId(1)));
    // One that was started more often may be the original on another machine; while that lives it has to wait.
    let waits = register(&*other, &clone(6), 2).await;
    assert_eq!(waits, Err(Error::NodeAlive { node: NodeId(1), address: address(1), store: StoreId(1) }));
    dismiss(&*other, StoreId(1)).await.unwrap();
    dismiss(&*other, StoreId(1)).await.unwrap();
    assert!(read(&*other).await.unwrap().alarms.is_empty());
}

#[tokio::test]
async fn a_restart_takes_the_place_of_the_start_before_it() {
    let (service, session) = founded().await;
    let admitted = register(&*session, &fresh(1, 0xa), 1).await.unwrap();
    assert_eq!(acknowledge(&*session, NodeId(1), epoch(1)).await, Ok(true));
    let next = open(&service).await;
    register(&*next, &again(&admitted, 2, 20), 2).await.unwrap();
    assert_eq!(acknowledge(&*session, NodeId(1), epoch(2)).await, Ok(false), "it holds the place no more");
    let view = read(&*session).await.unwrap();
    assert_eq!((view.live[&NodeId(1)].start, view.live[&NodeId(1)].epoch), (2, None));
    assert_eq!(view.registered(StoreId(1)), Some(again(&admitted, 2, 20).start));
    assert!(judge(view.stores.get(&StoreId(1)), again(&admitted, 1, 100).start).is_err());
    assert_eq!(judge_by(service.state().tree(), again(&admitted, 2, 20).start), Ok(()));
    let told = handshake::Refusal::from(Verdict::Unknown { store: StoreId(0xdd) });
    assert_eq!(told, handshake::Refusal::NotAMember { store: StoreId(0xdd) });
    let older = judge_by(service.state().tree(), again(&admitted, 1, 100).start);
    assert_eq!(older, Err(Verdict::RolledBack { store: StoreId(1), shown: 1, seen: 2 }.into()));
    assert_eq!(
        judge_by(service.state().tree(), fresh(1, 0xdd).start),
        Err(Verdict::Unknown { store: StoreId(0xdd) }.into())
    );
}

#[tokio::test]
async fn strangers_are_refused() {
    let (_, session) = founded().await;
    let of_another = Joiner { cluster: Some(ClusterId(8)), ..fresh(1, 1) };
    let verdict = Verdict::OtherCluster { own: ClusterId(8), id: ClusterId(7) };
    assert_eq!(register(&*session, &of_another, 1).await, Err(verdict.into()));
    let unknown = Joiner { cluster: Some(ClusterId(7)), ..fresh(1, 0xdd) };
    assert_eq!(register(&*session, &unknown, 1).await, Err(Verdict::Unknown { store: StoreId(0xdd) }.into()));
    let zero = register(&*session, &fresh(0, 0xee), 1).await;
    assert!(matches!(zero, Err(Error::Invalid { .. })), "{zero:?}");
}

#[tokio::test]
async fn a_forced_recovery_raises_the_generation_once() {
    let (_, session) = founded().await;
    for generation in [2, 2, 1] {
        recovered(&*session, generation).await.unwrap();
        let view = read(&*session).await.unwrap();
        assert_eq!((view.cluster.generation, view.ring.epoch), (2, Epoch { generation: 2, counter: 2 }));
    }
}

#[tokio::test]
async fn damaged_records_are_named_and_newer_ones_are_kept() {
    let (_, session) = founded().await;
    session.set(&path(&format!("{STORES}/{}", StoreId(2))), "{\"node\": true}".into(), None).await.unwrap();
    let Err(Error::Malformed { path, detail }) = read(&*session).await else { panic!("it was read") };
    assert_eq!(path.as_str(), format!("{STORES}/{}", StoreId(2)));
    assert!(detail.contains("line 1"), "{detail}");
}

#[tokio::test]
async fn fields_of_newer_versions_survive_a_change() {
    let (_, session) = founded().await;
    let ring = path(RING);
    let text = String::from_utf8(session.get(&ring).await.unwrap().value.data.to_vec()).unwrap();
    let newer = text.replacen("\"zone\"", "\"moons\":2,\"zone\"", 1).replacen('{', "{\"staged\":[1],", 1);
    session.set(&ring, newer.into(), None).await.unwrap();
    register(&*session, &fresh(4, 0xd), 1).await.unwrap();
    let view = read(&*session).await.unwrap();
    assert_eq!(view.ring.epoch, epoch(2));
    assert_eq!(view.ring.rest["staged"], serde_json::json!([1]));
    assert_eq!(view.ring.members[0].rest["moons"], 2);
}

#[tokio::test]
async fn differences_to_the_configuration_are_told() {
    let (_, session) = founded().await;
    let mut config = ClusterConfig { name: "test".into(), partitions: 16, ..ClusterConfig::default() };
    config.nodes = founding(7).nodes.into_iter().map(|(entry, _)| entry).collect();
    config.coordination.auto_remove_after_ms = Some(60_000);
    let view = read(&*session).await.unwrap();
    assert_eq!(differences(&view, &config), Vec::<String>::new());
    config.coordination.auto_remove_after_ms = None;
    config.nodes[0].zone = "far".into();
    config.nodes[2].id = NodeId(4);
    config.buckets.entry("default".into()).or_default().r = crate::core::bucket::QuorumSize::One;
    assert_eq!(
        differences(&view, &config),
        [
            "the configuration says auto_remove_after never, the cluster has 1m",
            "the configuration says zone of node 1 far, the cluster has default",
            "the configuration lists node 4 at node3:8000, the cluster has no such node",
            "the cluster has node 3 at node3:8000, which the configuration does not list",
            "the configuration says r of bucket 'default' one, the cluster has quorum",
        ]
    );
}
