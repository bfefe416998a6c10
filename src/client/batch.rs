//! Many operations at once.

use tokio::task::JoinSet;

use super::{Client, ClientError, Get, Put, Read, Written};

impl Client {
    /// Reads many keys at once; results come in the order of the keys. Each item is a key, or a [`Get`] with options of its own.
    ///
    /// ```no_run
    /// # async fn example(client: kv::client::Client) {
    /// use kv::client::Get;
    ///
    /// for read in client.multi_get(["a", "b"]).await {
    ///     println!("{read:?}");
    /// }
    /// client.multi_get([Get::new("a").r(1), Get::new("b").bucket("carts").strict()]).await;
    /// # }
    /// ```
    pub async fn multi_get<G: Into<Get>>(&self, items: impl IntoIterator<Item = G>) -> Vec<Result<Read, ClientError>> {
        let gets: Vec<Get> = items.into_iter().map(G::into).collect();
        self.all(gets, |client, get| async move { get.on(&client).await }).await
    }

    /// Writes many keys at once; results come in the order of the items. Each is a pair of key and value, or a [`Put`] with
    /// options of its own. They are separate writes: some may fail while others hold.
    ///
    /// ```no_run
    /// # async fn example(client: kv::client::Client) {
    /// use kv::client::Put;
    ///
    /// client.multi_put([("a", "1"), ("b", "2")]).await;
    /// client.multi_put([Put::new("a", "1").w(1), Put::new("b", "2").bucket("carts").w(3)]).await;
    /// # }
    /// ```
    pub async fn multi_put<P: Into<Put>>(
        &self,
        items: impl IntoIterator<Item = P>,
    ) -> Vec<Result<Written, ClientError>> {
        let puts: Vec<Put> = items.into_iter().map(P::into).collect();
        self.all(puts, |client, put| async move { put.on(&client).await }).await
    }

    /// Does everything at the same time. Dropped, it stops what is not done.
    async fn all<I, T, F>(&self, items: Vec<I>, each: impl Fn(Client, I) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut results: Vec<Option<T>> = items.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        for (place, item) in items.into_iter().enumerate() {
            let operation = each(self.clone(), item);
            running.spawn(async move { (place, operation.await) });
        }
        while let Some(done) = running.join_next().await {
            match done {
                Ok((place, result)) => results[place] = Some(result),
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        results.into_iter().flatten().collect()
    }
}
