//! Buckets and their properties.

use super::*;
use crate::core::bucket::QuorumSize;

fn changes(all: &[(&str, &str)]) -> BucketChanges {
    let mut changes = BucketChanges::default();
    for (property, value) in all {
        changes.add(property, value).expect("a good change");
    }
    changes
}

#[tokio::test]
async fn a_bucket_gets_properties_of_its_own_with_a_new_epoch() {
    let (_, session) = founded().await;
    let set = set_bucket(&*session, "a/b", &changes(&[("r", "1"), ("w", "all"), ("sloppy", "false")])).await.unwrap();
    assert_eq!((set.r, set.w, set.pw, set.sloppy), (1.into(), QuorumSize::All, 0.into(), false));
    let view = read(&*session).await.unwrap();
    assert_eq!(view.membership().buckets.get(b"a/b"), &set);
    assert_eq!(view.membership().buckets.get(b"other"), &view.buckets["default"]);
    assert_eq!(view.membership().epoch.counter, 2);
    // The same again changes nothing, the next change changes what it names.
    set_bucket(&*session, "a/b", &changes(&[("r", "1")])).await.unwrap();
    assert_eq!(read(&*session).await.unwrap().ring.epoch.counter, 2);
    let set = set_bucket(&*session, "a/b", &changes(&[("conflict", "lww"), ("n", "2")])).await.unwrap();
    assert_eq!((set.n, set.r), (Some(2), 1.into()));
    assert_eq!(Vec::from_iter(buckets(&*session).await.unwrap().into_keys()), ["a/b", "default"]);
}

#[tokio::test]
async fn what_cannot_be_met_is_refused() {
    let (_, session) = founded().await;
    for bad in [
        vec![("n", "4")],
        vec![("w", "0")],
        vec![("r", "4")],
        vec![("r", "1"), ("pr", "2")],
        vec![("n", "1"), ("w", "2")],
    ] {
        let refused = set_bucket(&*session, "b", &changes(&bad)).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{bad:?}: {refused:?}");
    }
    assert!(matches!(set_bucket(&*session, "", &changes(&[])).await, Err(Error::Invalid { .. })));
    set_bucket(&*session, "b", &changes(&[("n", "2")])).await.unwrap();
    let raised = set_bucket(&*session, "b", &changes(&[("n", "default")])).await;
    assert!(raised.unwrap_err().to_string().contains("cannot be raised from 2 to 3"));
}

#[test]
fn changes_are_read_as_people_write_them() {
    let mut changes = BucketChanges::default();
    let told = |changes: &mut BucketChanges, property, value| changes.add(property, value).unwrap_err().to_string();
    assert_eq!(
        told(&mut changes, "r", "most"),
        "'most' is no r of a bucket: give a number from 0 to 255, or one, quorum or all"
    );
    assert_eq!(told(&mut changes, "n", "0"), "'0' is no n of a bucket: give a number of replicas from 1, or default");
    let unknown = "'q' is no property of a bucket: there are n, r, w, pr, pw, sloppy, conflict, blind_write";
    assert_eq!(told(&mut changes, "q", "1"), unknown);
    assert_eq!(changes, BucketChanges::default());
    let all = crate::core::bucket::Bucket { n: Some(2), r: QuorumSize::One, ..Default::default() };
    for (property, value) in properties(&all) {
        changes.add(property, &value).unwrap();
    }
    assert_eq!(changes.apply(&Default::default()), all, "what is shown can be given");
}
