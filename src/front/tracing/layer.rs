//! The layer.

use crate::front::tracing::event::EventBody;
use crate::front::tracing::filter::{LAYERED, Recorded, place};
use crate::front::tracing::span::SpanBytes;
use crate::logger::record::RecordHead;
use crate::logger::thread;
use crate::process::loggers;
use lastwords_ring::format::level::Level;
use std::sync::atomic::Ordering;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A layer that records the events of a subscriber in this process's ring, made by [`tracing_layer`].
pub type TracingLayer<S> = Filtered<Recorder, Recorded, S>;

/// A layer that records the events of a subscriber in this process's ring, with their fields and their spans, as far as
/// lastwords' own level allows.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
/// # let folder = std::env::temp_dir().join(format!("lastwords-doc-layer-{}", std::process::id()));
/// # lastwords::builder("host").dir(&folder).init()?;
/// let subscriber = tracing_subscriber::registry().with(lastwords::tracing_layer());
/// tracing::subscriber::with_default(subscriber, || tracing::info!(user = "ada", "logged in"));
/// lastwords::flush()?;
/// # let text = std::fs::read_to_string(folder.join("host.log"))?;
/// assert!(text.contains("[INFO] logged in user=ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn tracing_layer<S>() -> TracingLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    LAYERED.store(true, Ordering::Relaxed);
    Recorder.with_filter(Recorded)
}

/// Records events and keeps spans; the layer within [`TracingLayer`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Recorder;

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let bytes = SpanBytes::new(attributes);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(bytes);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Before the span is locked: formatting a value may log.
        let fresh = SpanBytes::of_values(values);
        if let Some(span) = context.span(id)
            && let Some(bytes) = span.extensions_mut().get_mut::<SpanBytes>()
        {
            bytes.amend(&fresh);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(logger) = loggers::current() else { return };
        let Some((destination, place)) = place(logger, event.metadata()) else { return };
        let body = EventBody::new(event, &context);
        let level = Level::from(*event.metadata().level()).number();
        let head = RecordHead { level, call_site: body.call_site(logger, place), destination };
        thread::record(logger, head, &body);
    }
}
