//! What operators type to change who is in the ring, up to the commit: what is staged, planned and refused.

use serde_json::{Value, json};

use crate::command_line::Cli;
use crate::process::Cluster;
use crate::wait::until;

/// Three nodes that own everything, and node 4, which has joined and owns nothing.
async fn with_a_guest() -> (Cluster, Cli) {
    let mut nodes = Cluster::start().await;
    let id = nodes.add(1);
    nodes.restart(id).await;
    let cli = Cli::of(&nodes);
    until("everybody knows the guest", async || {
        let status = cli.json(&["cluster", "status"]);
        let guest = status["members"].as_array()?.iter().find(|member| member["node"] == json!(4))?.clone();
        (guest["standing"] == json!("guest") && guest["liveness"].get("live").is_some()).then_some(())
    })
    .await;
    (nodes, cli)
}

/// What a command that cannot be met says.
fn refused(cli: &Cli, arguments: &[&str]) -> String {
    let (code, _, error) = cli.run(arguments);
    assert_eq!(code, 2, "{arguments:?}: {error}");
    assert!(error.starts_with("error: "), "{error}");
    error
}

fn row(plan: &Value, node: u32) -> &Value {
    plan["nodes"].as_array().unwrap().iter().find(|row| row["node"] == json!(node)).unwrap()
}

#[tokio::test]
async fn changes_are_staged_planned_and_cleared() {
    let (_nodes, cli) = with_a_guest().await;
    assert!(cli.prints(&["cluster", "status"]).contains("kv-cli cluster join 4"));
    let staged = cli.prints(&["cluster", "join", "4"]);
    assert!(staged.starts_with("staged:\n  node 4 joins\nNothing moves yet"), "{staged}");
    assert!(cli.prints(&["cluster", "status"]).contains("One action is staged and not committed"));

    let plan = cli.json(&["cluster", "plan"]);
    // 64 partitions of three owners: 48 for each of four nodes, and none is copied that need not be.
    assert_eq!((&plan["replicas"], &plan["fewest"]["replicas"]), (&json!(48), &json!(48)));
    assert_eq!((&row(&plan, 4)["owned"], &row(&plan, 1)["owned"]), (&json!([0, 48]), &json!([64, 48])));
    assert_eq!(row(&plan, 4)["standing"], json!(["guest", "owner"]));
    assert!(row(&plan, 4)["arriving_bytes"].is_u64(), "{plan}");
    let text = cli.prints(&["cluster", "plan"]);
    assert!(text.contains("guest -> owner") && text.ends_with("`kv-cli cluster commit` begins it.\n"), "{text}");
    let explained = cli.json(&["ring", "--explain", "--plan"]);
    assert_eq!((&explained["moved"], &explained["unfairness"]), (&json!(48), &json!(0.0)));

    let weighed = cli.json(&["cluster", "set", "4", "--weight", "50", "--zone", "b"]);
    assert_eq!(weighed["actions"].as_array().unwrap().len(), 2);
    let left = cli.prints(&["cluster", "leave", "4"]);
    assert!(left.contains("instead of:\n  node 4 joins\n"), "{left}");
    assert!(cli.prints(&["cluster", "clear"]).contains("  node 4 leaves\n"));
    assert_eq!(cli.prints(&["cluster", "clear"]), "nothing was staged\n");
    assert!(refused(&cli, &["cluster", "commit", "--yes"]).contains("nothing would change"));
    assert_eq!(cli.run(&["cluster", "watch"]).0, 1, "there never was a change");
}

#[tokio::test]
async fn what_would_do_harm_is_refused_and_says_what_to_do() {
    let (_nodes, cli) = with_a_guest().await;
    let cases: [(&[&str], &str, &str); 5] = [
        (&["leave", "3"], "each partition would have 2 owners", "--force"),
        (&["remove", "3"], "node 3 is alive", "cluster leave 3"),
        (&["join", "9"], "node 9 is no member", "kv-server --join"),
        (&["join", "3"], "node 3 is in the ring already", "cluster status"),
        (&["replace", "3", "--by", "1"], "node 1 is in the ring already", "cluster status"),
    ];
    for (arguments, reason, remedy) in cases {
        cli.prints(&[&["cluster"], arguments].concat());
        let (code, plan, _) = cli.run(&["cluster", "plan"]);
        assert!(code == 2 && plan.contains(reason) && plan.contains(remedy), "{plan}");
        assert!(refused(&cli, &["cluster", "commit", "--yes"]).contains(reason));
        cli.prints(&["cluster", "clear"]);
    }
    cli.prints(&["cluster", "leave", "3"]);
    cli.prints(&["cluster", "join", "4"]);
    let unasked = refused(&cli, &["cluster", "commit"]);
    assert!(unasked.contains("--yes"), "nobody can be asked: {unasked}");
    let alive = refused(&cli, &["cluster", "forget", "3", "--yes"]);
    assert!(alive.contains("there is no store of node 3 that is not alive"), "{alive}");
    assert_eq!(cli.run(&["cluster", "turn-back", "--yes"]).0, 1, "nothing runs");
    let after = cli.prints(&["cluster", "auto-remove", "2h"]);
    assert_eq!(after, "a node that is down for 2h 0m is removed\n");
}
