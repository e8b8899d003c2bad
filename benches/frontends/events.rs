//! The same events for either subscriber.

use crate::{Table, ms};
use tracing::{debug, info, info_span};
use tracing_subscriber::layer::SubscriberExt;

pub(crate) fn subscribe_lastwords() {
    let subscriber = tracing_subscriber::registry().with(lastwords::tracing_layer());
    tracing::subscriber::set_global_default(subscriber).expect("the first");
}

pub(crate) fn subscribe_fmt() {
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).expect("the first");
}

pub(crate) fn measure(table: &mut Table) {
    table.logs("tracing::info!, no field", |_| info!("frame done"));
    table.logs("tracing::info!, 4 fields", |n| info!(n, camera = "left", ms = ms(n), ok = true, "frame done"));
    let outer = info_span!("request", id = 7, user = "ada").entered();
    let inner = info_span!("query", table = "orders").entered();
    table.logs("tracing::info!, no field, in 2 spans", |_| info!("frame done"));
    table.logs("tracing::info!, 4 fields, in 2 spans", |n| {
        info!(n, camera = "left", ms = ms(n), ok = true, "frame done")
    });
    drop((inner, outer));
    table.disabled("tracing::debug!, disabled", |n| debug!(n, camera = "left", ms = ms(n), "frame done"));
}
