//! `tracing` with spans and an `EnvFilter`: each line says in which request it was logged, also after a crash.
//!
//! ```sh
//! cargo run -p lastwords-examples --bin spans
//! RUST_LOG=info,spans::storage=debug cargo run -p lastwords-examples --bin spans
//! ```

use lastwords::Level;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Span, info, info_span, warn};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Lastwords takes all levels here, so that the filter alone decides.
    lastwords::builder("server").level(Level::TRACE).init()?;
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env()?;
    tracing::subscriber::set_global_default(registry().with(filter).with(lastwords::tracing_layer()))?;

    for id in 1..=2 {
        let _request = info_span!("request", id, user = Empty).entered();
        answer(if id == 1 { "ada" } else { "bob" });
    }
    info!("no more requests");
    Ok(())
}

fn answer(user: &str) {
    Span::current().record("user", user);
    let rows = storage::query(user);
    if rows == 0 {
        warn!("nothing found");
    } else {
        info!(rows, "answered");
    }
}

mod storage {
    use tracing::{debug, info_span};

    pub(super) fn query(user: &str) -> usize {
        let _query = info_span!("query", table = "orders").entered();
        debug!(limit = 10, "reading");
        if user == "ada" { 3 } else { 0 }
    }
}
