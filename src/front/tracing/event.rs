//! An event on its way into a record.

use crate::front::tracing::span::SpanBytes;
use crate::front::tracing::visitor::FieldVisitor;
use crate::logger::bytes::add_place;
use crate::logger::call_site_cache::CachedCallSite;
use crate::logger::record::RecordBody;
use crate::logger::ring_logger::Logger;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::write::body::BodyWriter;
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// An event and its context.
pub(super) struct EventBody<'a, S> {
    event: &'a Event<'a>,
    context: &'a Context<'a, S>,
    /// It was a record of the `log` facade, and its place is in its fields.
    forwarded: bool,
}

impl<'a, S> EventBody<'a, S> {
    pub(super) fn new(event: &'a Event<'a>, context: &'a Context<'a, S>) -> Self {
        let metadata = event.metadata();
        // Every record that `tracing_log` forwards is described by one of five statics of this name.
        let forwarded = metadata.target() == "log" && metadata.name() == "log event";
        EventBody { event, context, forwarded }
    }

    pub(super) fn call_site(&self, logger: &Logger, place: CachedCallSite) -> u32 {
        if self.forwarded {
            return 0;
        }
        let metadata = self.event.metadata();
        place.id(logger, || describe(metadata))
    }
}

fn describe(metadata: &'static Metadata<'static>) -> CallSiteRef<'static> {
    CallSiteRef {
        level: crate::Level::from(*metadata.level()).number(),
        line: metadata.line().unwrap_or(0),
        target: metadata.target(),
        module: metadata.module_path().unwrap_or_default(),
        file: metadata.file().unwrap_or_default(),
        format: "",
        placeholders: &[],
        types: &[],
        fields: &[],
    }
}

impl<S> RecordBody for EventBody<'_, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn constant(&self) -> Option<&[u8]> {
        None
    }

    fn write(&self, body: &mut Vec<u8>, call_site: u32, _: usize) -> u8 {
        let text = FieldVisitor::visit_event(body, self.event, self.forwarded);
        self.push_spans(body);
        let mut writer = BodyWriter::after(body, text);
        if call_site == 0 && !self.forwarded {
            let metadata = self.event.metadata();
            add_place(&mut writer, metadata.target(), metadata.file(), metadata.line());
        }
        writer.finish()
    }
}

impl<S> EventBody<'_, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// Appends the spans, the outermost first. They are found from the innermost on, so each is inserted before the previous
    /// ones: a list of them would have to be allocated.
    fn push_spans(&self, body: &mut Vec<u8>) {
        let start = body.len();
        let mut next = self.context.event_span(self.event);
        while let Some(span) = next {
            let before = body.len();
            if let Some(SpanBytes(bytes)) = span.extensions().get::<SpanBytes>() {
                BodyWriter::after_text(body).extra(extra_kind::SPAN, bytes);
            }
            if before > start {
                let added = body.len() - before;
                body[start..].rotate_right(added);
            }
            next = span.parent();
        }
    }
}
