//! Where the coordination service runs: on a thread of its own, since it waits for its disk, or on the simulated host's loop.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::node::env::Env;

/// A place for the coordination service. When its last clone is dropped the thread ends.
#[derive(Clone)]
pub struct Thread(Option<Arc<Own>>);

struct Own {
    runtime: Handle,
    /// Dropped, it ends the thread.
    _run: oneshot::Sender<()>,
}

impl Thread {
    /// A thread of its own where there are threads, else the loop that is running.
    pub fn start(env: &Env) -> io::Result<Thread> {
        if !env.has_threads() {
            return Ok(Thread(None));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (run, ended) = oneshot::channel::<()>();
        let own = Own { runtime: runtime.handle().clone(), _run: run };
        std::thread::Builder::new().name("coordination".into()).spawn(move || {
            // An error says that the last clone is gone, which is the sign to end.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Thread(Some(Arc::new(own))))
    }

    /// Runs a future there and waits for it.
    ///
    /// # Panics
    /// If the future does.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        match &self.0 {
            None => future.await,
            Some(own) => own.runtime.spawn(future).await.expect("the coordination thread runs as long as it is held"),
        }
    }

    /// Runs a future there to its end, or to that of the thread.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        match &self.0 {
            None => drop(tokio::spawn(future)),
            Some(own) => drop(own.runtime.spawn(future)),
        }
    }
}
