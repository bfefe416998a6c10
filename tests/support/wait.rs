//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once, on a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(90);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Asks until there is an answer, and returns it. Panics after a minute and a half, saying what was waited for.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < WITHIN, "waited {WITHIN:?} in vain: {what}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
