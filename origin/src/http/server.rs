//! The listener: accepts connections within bounds, and ends without dropping a request.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use super::App;
use crate::config::Limits;

/// Pause after the system refused to accept, which it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(error))]
pub struct CannotListen {
    address: SocketAddr,
    error: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken; end what uses it, or set `listen` (PERIGEE_LISTEN) to another".to_owned()
        }
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need privileges".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds the address.
///
/// # Errors
/// The port is taken, or the address is not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|error| CannotListen { address, error })
}

/// Serves until `stop` is done, then drains: announces it, stops accepting, and lets requests under way
/// finish within a bound, or until `hurry` is done.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) {
    let limits = *app.limits();
    let mut connections = Connections::new(super::router(app.clone()), limits);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = connections.accept(&listener) => {}
        }
    }
    app.phases().drain();
    tracing::info!("draining");
    let mut announced = pin!(tokio::time::sleep(limits.drain_announce));
    loop {
        tokio::select! {
            () = &mut announced => break,
            () = connections.accept(&listener) => {}
        }
    }
    drop(listener);
    tokio::select! {
        () = connections.finish(limits.drain_timeout) => {}
        () = hurry => tracing::warn!("ended without waiting for requests under way"),
    }
}

/// The open connections.
struct Connections {
    router: Router,
    limits: Limits,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl Connections {
    fn new(router: Router, limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Self { router, limits, places, graceful: GracefulShutdown::new(), tasks: JoinSet::new() }
    }

    /// Accepts one connection once there is a place for it. May be dropped at any time.
    async fn accept(&mut self, listener: &TcpListener) {
        while self.tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => self.open(stream, place),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn open(&mut self, stream: TcpStream, place: OwnedSemaphorePermit) {
        // Pieces of a stream go out as they come. Refused only on a socket that is closed already.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(self.router.clone()));
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                // Clients hang up, are slow or speak another protocol: their affair.
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }

    /// Closes idle connections at once and the others after their request.
    async fn finish(self, at_most: Duration) {
        let Self { graceful, mut tasks, .. } = self;
        if tokio::time::timeout(at_most, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "cut off after the drain timeout");
        }
        tasks.abort_all();
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
