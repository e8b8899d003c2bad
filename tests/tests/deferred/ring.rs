//! What is in the rings of a folder, and what a drain makes of it.

use lastwords::{Error, Flusher, Log, builder};
use lastwords_flusher::drain::Drain;
use lastwords_flusher::recover::recovery::Recovery;
use lastwords_flusher::render::escape::escape;
use lastwords_flusher::render::message::Template;
use lastwords_ring::format::call_site::CallSite;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::format::record::Record;
use lastwords_ring::place::folder::Folder;
use lastwords_tests::files::names_in;
use lastwords_tests::forge::record_of;
use lastwords_tests::logs::messages;
use lastwords_tests::scratch::Scratch;
use std::collections::HashMap;

/// A logger whose records stay in its ring until they are requested.
pub(crate) fn open(folder: &Scratch, role: &str) -> Log {
    let builder = builder(role).dir(folder).flusher(Flusher::Never).rotate_size(1 << 30);
    builder.slots_per_lane(1 << 15).lanes(3).open().expect("a logger")
}

/// A record as its ring holds it.
pub(crate) struct Recorded {
    pub(crate) has_values: bool,
    /// Values and their tags, wherever the ring has those.
    pub(crate) body: Vec<u8>,
    site: CallSite,
}

impl Recorded {
    /// The format string of its call.
    pub(crate) fn format(&self) -> &str {
        &self.site.format
    }

    /// Its call site as a reader uses it.
    pub(crate) fn template(&self) -> Template {
        Template::new(self.site.clone()).expect("placeholders that fit the format string")
    }
}

/// The records of each role that are in no log file yet, in their order.
pub(crate) fn recovered(folder: &Scratch) -> HashMap<String, Vec<Recorded>> {
    let mut found: HashMap<String, Vec<Recorded>> = HashMap::new();
    let mut recovery = Recovery::default();
    recovery.add_folder(&Folder::open(folder).expect("a folder")).expect("readable");
    let taken = recovery.for_each(|recovered| {
        let site = recovered.site.expect("a call site").site();
        found.entry(recovered.role.to_owned()).or_default().push(Recorded {
            has_values: recovered.record.has_values(),
            body: tagged(&recovered.record, site),
            site: site.clone(),
        });
        Ok::<u64, Error>(0)
    });
    taken.expect("readable");
    found
}

/// The messages of each role's log file, after everything has been drained to it.
pub(crate) fn drained(folder: &Scratch) -> HashMap<String, Vec<String>> {
    let opened = Folder::open(folder).expect("a folder");
    let mut drain = Drain::open(&opened, 0).expect("opened");
    while drain.pass().is_ok_and(|pass| pass.waiting || pass.records > 0) {}
    let files = names_in(folder);
    let roles = files.iter().filter_map(|name| name.strip_suffix(".log"));
    roles.map(|role| (role.to_owned(), messages(folder, role))).collect()
}

/// A record's body with tags, which stand in its call site's entry if it has none.
fn tagged(record: &Record<'_>, site: &CallSite) -> Vec<u8> {
    let mut tags = if record.is_untagged() { site.types.clone() } else { Vec::new() };
    tags.resize(tags.len().next_multiple_of(8), 0);
    [&tags, record.text()].concat()
}

/// A body with tags as its template shows it.
pub(crate) fn shown(template: &Template, body: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    template.show(&record_of(encoding::VALUES, 1, body), &mut out)?;
    String::from_utf8(out).ok()
}

/// A message as a log file has it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    escape(&mut out, text.as_bytes());
    String::from_utf8(out).expect("UTF-8")
}
