//! The server: accepts connections, answers requests, and stops in an orderly way.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use emcrm_app::{App, Worker};
use emcrm_mail::Notifications;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{Access, AccessSettings};
use crate::config::{Config, Role};
use crate::http::connections::Connections;
use crate::http::edge::{Edge, Limits};
use crate::http::gate::{Gate, GateSettings};
use crate::http::metrics;
use crate::router::{ApiSettings, ApiState, router};

/// Most headers of a request, and most bytes of its head.
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// One address may have a quarter of all connections.
const CONNECTIONS_PART: u32 = 4;
/// See [`ServeSettings::head`].
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// See [`ServeSettings::answer`].
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How often collected measurements are summed up.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the server needs to know besides the application.
#[derive(Clone)]
pub struct ServeSettings {
    pub role: Role,
    pub api: ApiSettings,
    pub limits: Limits,
    pub gate: GateSettings,
    pub access: AccessSettings,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Of them, those of one address; more are closed. Trusted proxies are not counted, and neither are programs on this machine, unless `count_loopback` says so:
    /// they may be proxies too.
    pub connections_each: usize,
    pub count_loopback: bool,
    /// How long the head of a request may take, which is also how long a kept connection may be idle.
    pub head: Duration,
    /// How long a client may take no further byte of an answer.
    pub answer: Duration,
    /// Patience with requests in hand when stopping.
    pub shutdown: Duration,
    /// Tells this process's request ids from those of others.
    pub id_prefix: u32,
    /// Part of the requests whose traces are kept; none where nothing is traced.
    pub traced: Option<f64>,
    /// Where the mail service tells what became of mails.
    pub notifications: Option<Arc<dyn Notifications>>,
}

impl ServeSettings {
    pub fn of(config: &Config) -> Self {
        Self {
            role: config.app.role,
            api: ApiSettings::of(config),
            limits: Limits { time: config.app.request_timeout.0, requests: config.app.max_requests as usize, ..Limits::default() },
            gate: GateSettings::of(config),
            access: AccessSettings::of(config),
            connections: config.app.max_connections as usize,
            connections_each: (config.app.max_connections / CONNECTIONS_PART).max(1) as usize,
            count_loopback: false,
            head: HEAD_PATIENCE,
            answer: ANSWER_PATIENCE,
            shutdown: config.app.shutdown_timeout.0,
            id_prefix: rand::random(),
            traced: config.traces.endpoint.as_ref().map(|_| config.traces.ratio.0),
            notifications: None,
        }
    }
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    state: ApiState,
    edge: Edge,
    stop: CancellationToken,
    connections: TaskTracker,
    background: TaskTracker,
    worker: Option<Worker>,
    shutdown: Duration,
}

/// Opens the address. A port that is in use is an error at once, also when its owner is about to end.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

impl Server {
    /// Starts to answer on `listener` and, unless the role is `api`, to run tasks. With the role `worker` only the routes about
    /// the process's health do something useful, but all are there.
    pub fn start(app: Arc<App>, listener: TcpListener, settings: ServeSettings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        metrics::recorder();
        let gate = Arc::new(Gate::new(settings.gate));
        let access = Access::new(settings.access, gate.clone(), &app).map_err(io::Error::other)?;
        let state = ApiState::new(app.clone(), settings.api, Arc::new(access)).with_notifications(settings.notifications);
        let edge = Edge::new(router(state.clone()), state.settings.name.clone(), settings.limits, gate.clone(), settings.id_prefix, settings.traced);
        let worker = (settings.role != Role::Api).then(|| Worker::spawn(app));
        let patience = Patience { head: settings.head, answer: settings.answer };
        let (stop, connections, background) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        let places = Places {
            all: Arc::new(Semaphore::new(settings.connections)),
            counted: Connections::new(gate.clone(), settings.connections_each, settings.count_loopback),
        };
        background.spawn(accept(listener, edge.clone(), places, patience, stop.clone(), connections.clone()));
        background.spawn(upkeep(gate, stop.clone()));
        background.close();
        Ok(Self { address, state, edge, stop, connections, background, worker, shutdown: settings.shutdown })
    }

    /// Accepts nothing more, lets requests in hand end (for a bounded time), then stops the worker.
    pub async fn stop(self) {
        self.state.stop();
        self.edge.stop();
        self.stop.cancel();
        self.background.wait().await;
        self.connections.close();
        if tokio::time::timeout(self.shutdown, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "requests in hand did not end in time and were cut off");
        }
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
    }
}

/// See the fields of [`ServeSettings`] with these names.
#[derive(Clone, Copy)]
struct Patience {
    head: Duration,
    answer: Duration,
}

/// For whom there is room.
struct Places {
    all: Arc<Semaphore>,
    counted: Arc<Connections>,
}

async fn upkeep(gate: Arc<Gate>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                metrics::recorder().run_upkeep();
                gate.upkeep();
            }
            () = stop.cancelled() => return,
        }
    }
}

async fn accept(listener: TcpListener, edge: Edge, places: Places, patience: Patience, stop: CancellationToken, connections: TaskTracker) {
    let open = ::metrics::gauge!("emcrm_http_connections_open");
    loop {
        let place = tokio::select! {
            place = places.all.clone().acquire_owned() => place,
            () = stop.cancelled() => return,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Closed at once: whoever has as many as that would only keep the next one waiting, too.
                let Some(counted) = places.counted.count(peer) else {
                    tracing::debug!("an address has as many connections as it may have");
                    continue;
                };
                let (edge, stop) = (edge.clone(), stop.clone());
                let open = open.clone();
                open.increment(1.0);
                connections.spawn(async move {
                    serve_connection(stream, peer, edge, patience, stop).await;
                    open.decrement(1.0);
                    drop((place, counted));
                });
            }
            // The client went away before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                // Out of file handles, most likely: others have to be given back first.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, edge: Edge, patience: Patience, stop: CancellationToken) {
    // Answers are written whole: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let edge = edge.clone();
        async move { Ok::<_, Infallible>(edge.answer(request, Some(peer)).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience.head).max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    // A client that reads nothing has no claim on a connection.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.answer));
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}
