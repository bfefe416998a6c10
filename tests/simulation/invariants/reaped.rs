//! In the end everything that was deleted is forgotten, on every node: with no fault left, nothing may keep a tombstone.

use super::Finding;
use super::timeline::Timeline;
use crate::history::What;

/// What every node says of itself at the end.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let left = timeline.history.events().iter().enumerate().filter_map(|(place, event)| match &event.what {
        What::Deleted { node, keys, why } if *keys > 0 => Some(Finding {
            about: format!("node {node}"),
            what: format!("{keys} deleted keys are not forgotten: {why}"),
            events: vec![place],
        }),
        _ => None,
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use kv::core::id::NodeId;

    use super::super::sketch::Sketch;
    use crate::history::What;

    #[test]
    fn what_is_left_is_found() {
        let findings = |keys| {
            let mut sketch = Sketch::new();
            sketch.record(What::Deleted { node: NodeId(1), keys, why: "nobody knows".into() });
            sketch.findings("reaped")
        };
        assert!(findings(0).is_empty());
        assert_eq!(findings(2), ["2 deleted keys are not forgotten: nobody knows"]);
    }
}
