//! Two clients write one key without knowing of each other.

use kv::core::request::Failure;

use crate::native::Native;
use crate::process::Cluster;

/// Read-modify-writes of both clients together.
const TURNS: usize = 1000;

#[tokio::test]
async fn writes_from_one_context_at_two_nodes_become_siblings_until_one_resolves_them() {
    become_siblings(&Cluster::start().await).await;
}

/// The story, whatever tells the three nodes of each other.
pub async fn become_siblings(cluster: &Cluster) {
    let mut one = Native::connect(cluster.address(1)).await;
    let mut two = Native::connect(cluster.address(2)).await;
    one.put("cart", "empty", None, 3).await.unwrap();
    let (values, context) = two.get("cart", 2).await.unwrap();
    assert_eq!(values, ["empty"]);

    assert_eq!(one.put("cart", "apples", context.clone(), 3).await.unwrap(), 1);
    assert_eq!(two.put("cart", "pears", context, 3).await.unwrap(), 2);
    for id in cluster.ids() {
        let (mut values, _) = Native::connect(cluster.address(id)).await.get("cart", 2).await.unwrap();
        values.sort();
        assert_eq!(values, ["apples", "pears"], "at node {id}");
    }

    let (_, context) = one.get("cart", 2).await.unwrap();
    assert_eq!(one.put("cart", "apples and pears", context, 3).await.unwrap(), 1);
    for id in cluster.ids() {
        let (values, _) = Native::connect(cluster.address(id)).await.get("cart", 2).await.unwrap();
        assert_eq!(values, ["apples and pears"], "at node {id}");
    }
}

/// How often each of the two clients has added one. Merged by the larger number, as each only raises its own.
type Counts = [usize; 2];

fn merge(values: &[bytes::Bytes]) -> Counts {
    let mut counts = [0, 0];
    for value in values {
        let text = std::str::from_utf8(value).unwrap();
        for (merged, count) in counts.iter_mut().zip(text.split(' ')) {
            *merged = count.parse::<usize>().unwrap().max(*merged);
        }
    }
    counts
}

/// One client's turns; the most siblings that it saw.
async fn count(address: &str, client: usize) -> Result<usize, Failure> {
    let mut node = Native::connect(address).await;
    let mut most = 0;
    for turn in 1..=TURNS / 2 {
        let (values, context) = node.get("counter", 2).await?;
        let mut counts = merge(&values);
        assert_eq!(counts[client], turn - 1, "a client reads its own writes");
        counts[client] += 1;
        let siblings = node.put("counter", &format!("{} {}", counts[0], counts[1]), context, 2).await?;
        most = most.max(values.len()).max(siblings as usize);
    }
    Ok(most)
}

#[tokio::test]
async fn interleaved_read_modify_writes_never_leave_more_than_two_siblings() {
    count_together(&Cluster::start().await).await;
}

/// The story, whatever tells the three nodes of each other.
pub async fn count_together(cluster: &Cluster) {
    let (one, two) = tokio::join!(count(cluster.address(1), 0), count(cluster.address(2), 1));
    let most = one.unwrap().max(two.unwrap());
    println!("{TURNS} read-modify-writes, at most {most} siblings");
    assert_eq!(most, 2, "one sibling would mean that they never met, three that a writer's own past came back");

    let (values, _) = Native::connect(cluster.address(3)).await.get("counter", 3).await.unwrap();
    assert_eq!(merge(&values), [TURNS / 2; 2], "increments were lost");
}
