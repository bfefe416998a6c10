//! Stands between a client and its server, and can be cut.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay to one server. Dropped, it takes no more connections.
pub struct Relay {
    address: String,
    is_cut: Arc<watch::Sender<bool>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Relays connections to a server.
    pub async fn to(server: &str) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let is_cut = Arc::new(watch::Sender::new(false));
        let listening = tokio::spawn(listen(listener, server.to_owned(), is_cut.clone()));
        Relay { address, is_cut, listening }
    }

    /// Where clients connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections, and lets new ones reach nobody.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, server: String, is_cut: Arc<watch::Sender<bool>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, mut is_cut) = (server.clone(), is_cut.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = is_cut.wait_for(|is_cut| *is_cut) => {}
                () = carry(client, &server) => {}
            }
        });
    }
}

/// Until one side ends.
async fn carry(mut client: TcpStream, server: &str) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
