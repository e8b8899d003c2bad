//! The `tracing` back end: events become records, with their fields and enclosing spans.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("lastwords-doc-tracing-{}", std::process::id()));
//! # lastwords::builder("host").dir(&folder).init()?;
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lastwords::tracing_layer()))?;
//! let request = tracing::info_span!("request", id = 7, user = tracing::field::Empty).entered();
//! request.record("user", "ada");
//! tracing::warn!(rows = 12, "slow answer");
//! # lastwords::flush()?;
//! # let text = std::fs::read_to_string(folder.join("host.log"))?;
//! assert!(text.contains("[WARNING] request{id=7 user=ada}: slow answer rows=12"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The layer follows the level of [`crate::Builder::level`] by a filter of its own: what is too fine for lastwords still
//! reaches the other layers of the subscriber. An `EnvFilter` beside or around it narrows that further. Events before
//! [`crate::init`] are discarded.
//!
//! Spans are encoded once, when they are created and when a value is recorded; an event copies their bytes. The rest of a
//! call's cost is that of `tracing` itself.
//!
//! [`crate::init_tracing`] does all of this in one call.
//! `tracing_subscriber::registry().with(lastwords::tracing_layer()).init()` works beside
//! `builder(role).log_facade(false).init()`, in either order: with its default features, tracing-subscriber's `init` takes the
//! `log` facade, which has only one owner.
//!
//! Records of the `log` facade go to lastwords directly, without a span. With [`crate::Builder::log_facade`] off,
//! `tracing_log::LogTracer` can take them, and forwards them to this layer as events in their spans.

mod event;
mod filter;
mod layer;
mod span;
mod subscriber;
mod visitor;

pub use filter::Recorded;
pub(crate) use filter::changed;
pub use layer::{Recorder, TracingLayer, tracing_layer};
pub(crate) use subscriber::{is_subscribed, refuse_other_subscriber, subscribe};
