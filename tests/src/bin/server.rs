//! An axum server on tokio that logs through `tracing`, as its users write them.
//!
//! `server FOLDER`: serves on a port of the kernel's choice, which it prints. `/hello/NAME` logs within a span, `/panic` panics,
//! `/blocking/N` logs from as many blocking tasks at once, `/other` from a second runtime. SIGTERM ends it after the requests
//! that are in flight.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{Instrument, info, info_span, warn};

/// Number of the next request.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    lastwords::builder("server").dir(folder).init_tracing().expect("a ring");
    let other = Builder::new_multi_thread().worker_threads(2).thread_name("other").build().expect("a second runtime");
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(serve(other.handle().clone()));
    other.shutdown_background();
    info!("stopped");
}

async fn serve(other: Handle) {
    let router = Router::new()
        .route("/hello/{name}", get(hello))
        .route("/panic", get(panics))
        .route("/blocking/{count}", get(blocking))
        .route("/other", get(elsewhere))
        .with_state(other);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let mut terminated = signal(SignalKind::terminate()).expect("handled");
    println!("{}", listener.local_addr().expect("bound").port());
    let stop = async move {
        terminated.recv().await;
        warn!("stopping");
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await.expect("served");
}

async fn hello(Path(name): Path<String>) -> String {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    async {
        info!(name, "asked");
        tokio::task::yield_now().await;
        log::info!("answered {name}");
        format!("hello {name}")
    }
    .instrument(info_span!("request", id))
    .await
}

async fn panics() -> &'static str {
    panic!("a handler's")
}

async fn blocking(Path(count): Path<u32>) -> String {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        tasks.spawn_blocking(move || info!("blocking {n}"));
    }
    while tasks.join_next().await.is_some() {}
    count.to_string()
}

async fn elsewhere(State(other): State<Handle>) -> &'static str {
    other.spawn(async { info!("from the other runtime") }).await.expect("done");
    "done"
}
