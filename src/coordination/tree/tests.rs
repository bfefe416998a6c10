use super::*;

const ME: SessionId = SessionId(1);

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn create(at: &str, data: &'static str, mode: CreateMode) -> Change {
    Change::Create { path: path(at), data: data.into(), mode }
}

fn node(at: &str) -> Change {
    create(at, "", CreateMode::Persistent)
}

fn set(at: &str, data: &'static str) -> Change {
    Change::Set { path: path(at), data: data.into(), expected: None }
}

fn delete(at: &str) -> Change {
    Change::Delete { path: path(at), expected: None }
}

fn tree(changes: impl IntoIterator<Item = Change>) -> Tree {
    let mut tree = Tree::default();
    tree.apply(ME, changes.into_iter().collect(), &Limits::default()).unwrap();
    tree
}

fn too_much<T>(limit: Limit, max: u64) -> Result<T, Refusal> {
    Err(Refusal::TooMuch { limit, max })
}

#[test]
fn a_new_tree_is_its_root() {
    let tree = Tree::default();
    assert_eq!(tree.children(&Path::root()).unwrap().names, [""; 0]);
    assert_eq!((tree.revision(), tree.bytes()), (Revision(0), NODE_BYTES + 1));
}

#[test]
fn a_write_raises_the_revision_once_and_tells_all_it_did() {
    let mut tree = tree([node("/a")]);
    let changes = vec![set("/a", "x"), node("/a/b"), delete("/a/b")];
    let (_, events) = tree.apply(ME, changes, &Limits::default()).unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.path.as_str(), event.kind)).collect();
    assert_eq!(told, [("/a", EventKind::Set), ("/a/b", EventKind::Created), ("/a/b", EventKind::Deleted)]);
    assert_eq!(tree.revision(), Revision(2));

    let check = Change::Check { path: path("/a"), expected: Some(1) };
    assert_eq!(tree.apply(ME, vec![check], &Limits::default()), Ok((vec![Outcome::Checked], vec![])));
    assert_eq!(tree.revision(), Revision(2), "a check is no change");
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let mut tree = tree([node("/a"), node("/a/b"), create("/e", "", CreateMode::Ephemeral)]);
    let before = tree.clone();
    let changes = vec![
        create("/a/n-", "data", CreateMode::EphemeralSequential),
        delete("/e"),
        create("/e", "other", CreateMode::Persistent),
        delete("/a/b"),
        set("/a", "data"),
        delete("/absent"),
    ];
    let refusal = tree.apply(SessionId(2), changes, &Limits::default());
    assert_eq!(refusal, Err(Refusal::NoNode { path: path("/absent") }));
    assert_eq!(tree, before);
}

/// ZooKeeper would refuse it, and go on refusing it until another child comes or goes.
#[test]
fn a_number_that_is_taken_is_passed_over() {
    let mut tree = tree([node("/n-0000000000"), node("/n-0000000001"), node("/other-0000000002")]);
    let made = tree.apply(ME, vec![create("/n-", "", CreateMode::PersistentSequential)], &Limits::default());
    let (outcomes, _) = made.unwrap();
    assert!(matches!(&outcomes[..], [Outcome::Created { path, .. }] if path.as_str() == "/n-0000000002"));
}

#[test]
fn numbers_end_with_their_digits() {
    let mut tree = tree([node("/a")]);
    let mut full = tree.nodes[&path("/a")].clone();
    full.next_sequence = 9_999_999_999;
    tree.replace(path("/a"), Some(full));
    let mut next = || tree.apply(ME, vec![create("/a/n", "", CreateMode::PersistentSequential)], &Limits::default());
    let (outcomes, _) = next().unwrap();
    assert!(matches!(&outcomes[..], [Outcome::Created { path, .. }] if path.name() == "n9999999999"));
    assert_eq!(next(), too_much(Limit::Sequence, 9_999_999_999));
}

#[test]
fn ephemerals_go_together() {
    let mut tree =
        tree([node("/a"), create("/a/x", "", CreateMode::Ephemeral), create("/y", "", CreateMode::Ephemeral)]);
    tree.apply(SessionId(2), vec![create("/z", "", CreateMode::Ephemeral)], &Limits::default()).unwrap();
    assert_eq!(Vec::from_iter(tree.owned(ME)), [&path("/a/x"), &path("/y")]);
    let told: Vec<_> = tree.remove_owned(ME).into_iter().map(|event| (event.path, event.kind)).collect();
    assert_eq!(told, [(path("/a/x"), EventKind::Deleted), (path("/y"), EventKind::Deleted)]);
    assert_eq!(tree.children(&Path::root()).unwrap().names, ["a", "z"]);
    assert_eq!(tree.stat(&path("/a")).unwrap().children_version, 2);
    assert_eq!((tree.remove_owned(ME), tree.revision()), (vec![], Revision(3)));
}

#[test]
fn limits_bind_growth_alone() {
    let mut tree = tree([node("/a"), create("/a/x", "12345", CreateMode::Persistent), node("/a/y")]);
    let full = Limits { children_max: 2, tree_bytes_max: tree.bytes(), ..Limits::default() };
    let mut apply = |changes: Vec<Change>, limits: &Limits| tree.apply(ME, changes, limits).map(drop);

    assert_eq!(apply(vec![node("/a/z")], &full), too_much(Limit::Children, 2));
    assert_eq!(apply(vec![node("/b")], &full), too_much(Limit::TreeBytes, full.tree_bytes_max));
    assert_eq!(apply(vec![set("/a/x", "123456")], &full), too_much(Limit::TreeBytes, full.tree_bytes_max));
    assert_eq!(apply(vec![set("/a/x", "54321")], &full), Ok(()));

    let lowered = Limits { tree_bytes_max: 1, ..full.clone() };
    assert_eq!(apply(vec![set("/a/x", "12")], &lowered), Ok(()), "what makes it smaller passes in an overfull tree");
    assert_eq!(apply(vec![delete("/a/y")], &lowered), Ok(()));
    assert_eq!(apply(vec![set("/a/x", "123"), node("/a/z")], &full), Ok(()));

    let small = Limits { write_bytes_max: 4, changes_max: 2, ..Limits::default() };
    assert_eq!(apply(vec![set("/a/x", "123"), set("/a/x", "12")], &small), too_much(Limit::WriteBytes, 4));
    assert_eq!(apply(vec![set("/a/x", "123"), set("/a/x", "1")], &small), Ok(()));
    assert_eq!(apply(vec![delete("/a/x"), delete("/a/z"), delete("/a")], &small), too_much(Limit::Changes, 2));
}

#[test]
fn decodes_only_what_a_tree_can_be() {
    let decode = |revision: u64, nodes: &[(&str, Node)]| {
        let nodes: BTreeMap<Path, Node> = nodes.iter().map(|(at, node)| (path(at), node.clone())).collect();
        let bytes = rmp_serde::to_vec(&(Revision(revision), nodes)).unwrap();
        rmp_serde::from_slice::<Tree>(&bytes).map_err(|error| error.to_string())
    };
    let plain = Node::new(Bytes::new(), None, Revision(0));
    let owned = Node::new(Bytes::new(), Some(ME), Revision(1));
    let root = || ("/", plain.clone());
    assert_eq!(decode(0, &[root()]), Ok(Tree::default()));
    assert!(decode(0, &[]).unwrap_err().contains("without a root"));
    assert!(decode(1, &[root(), ("/a/b", plain.clone())]).unwrap_err().contains("/a/b has no parent"));
    assert!(decode(1, &[root(), ("/a", owned.clone()), ("/a/b", plain.clone())]).unwrap_err().contains("/a/b"));
    assert!(decode(0, &[root(), ("/a", owned)]).unwrap_err().contains("/a is newer"));
}
