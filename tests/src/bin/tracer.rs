//! A program that logs through `tracing` as a scenario says, then dies by SIGKILL: what is found of it was in its ring.
//!
//! `tracer FOLDER SCENARIO`

use lastwords::{Builder, Flusher, Level};
use lastwords_tests::forking;
use std::error::Error;
use std::fmt;
use tracing::field::{self, Empty};
use tracing::{Span, debug, debug_span, error, error_span, event, info, info_span, trace, warn};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt as console, reload};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let scenario = arguments.next().expect("a scenario");
    let builder = lastwords::builder("worker").dir(folder).flusher(Flusher::Never);
    match scenario.as_str() {
        "places" => with_layer(builder, places),
        "fields" => with_layer(builder, fields),
        "spans" => with_layer(builder, spans),
        "within" => with_layer(builder, within),
        "long" => with_layer(builder, long),
        "threads" => with_layer(builder, threads),
        "children" => with_layer(builder, || forking::children(3, in_child)),
        "level" => with_layer(builder.level(Level::DEBUG), levels),
        "env-filter" => env_filter(builder),
        "reload" => reloaded(builder),
        "beside" => beside(builder),
        "forwarded" => forwarded(builder),
        "before" => before(builder),
        "one-call" => one_call(builder),
        // Theirs without `init`, which leaves the facade alone.
        "default-second" => {
            builder.init().expect("a ring");
            subscribe(tracing_subscriber::registry().with(lastwords::tracing_layer()));
            both_facades();
        }
        "default-first" => {
            subscribe(tracing_subscriber::registry().with(lastwords::tracing_layer()));
            builder.init().expect("a ring");
            both_facades();
        }
        // Both claim the facade, and theirs is second: their subscriber is there all the same.
        "both" => {
            builder.init().expect("a ring");
            let theirs = || tracing_subscriber::registry().with(lastwords::tracing_layer()).init();
            std::panic::catch_unwind(theirs).expect_err("the facade is taken");
            both_facades();
        }
        "both-fmt" => {
            builder.init().expect("a ring");
            std::panic::catch_unwind(|| tracing_subscriber::fmt().init()).expect_err("the facade is taken");
        }
        // Both claim the subscriber.
        "one-call-first" => {
            builder.init_tracing().expect("a ring");
            std::panic::catch_unwind(|| tracing_subscriber::registry().init()).expect_err("there is one");
            both_facades();
        }
        "one-call-second" => {
            tracing_subscriber::registry().with(lastwords::tracing_layer()).init();
            let taken = builder.clone().init_tracing().expect_err("there is one").to_string();
            assert!(taken.contains("lastwords::tracing_layer()"), "{taken}");
            builder.log_facade(false).init().expect("a ring");
            both_facades();
        }
        "theirs-second" => {
            builder.log_facade(false).init().expect("a ring");
            tracing_subscriber::registry().with(lastwords::tracing_layer()).init();
            both_facades();
        }
        "theirs-first" => {
            tracing_subscriber::registry().with(lastwords::tracing_layer()).init();
            let taken = builder.clone().init().expect_err("the facade is taken").to_string();
            assert!(taken.contains("log_facade(false)") && taken.contains("tracing-subscriber"), "{taken}");
            builder.log_facade(false).init().expect("a ring");
            both_facades();
        }
        "env-logger-first" => {
            env_logger::init();
            let taken = builder.clone().init().expect_err("the facade is taken").to_string();
            assert!(taken.contains("log_facade(false)"), "{taken}");
            builder.log_facade(false).init().expect("a ring");
            by_facade_and_macro();
        }
        "env-logger-second" => {
            builder.log_facade(false).init().expect("a ring");
            env_logger::init();
            by_facade_and_macro();
        }
        "env-logger-both" => {
            builder.init().expect("a ring");
            std::panic::catch_unwind(env_logger::init).expect_err("the facade is taken");
            by_facade_and_macro();
        }
        "outside" => outside(builder.flusher(Flusher::Embedded)),
        other => panic!("no scenario {other}"),
    }
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("killed");
}

fn subscribe(subscriber: impl tracing::Subscriber + Send + Sync) {
    tracing::subscriber::set_global_default(subscriber).expect("the first");
}

/// All in one call; a second one with the same settings does nothing.
fn one_call(builder: Builder) {
    builder.clone().init_tracing().expect("a ring");
    builder.clone().init_tracing().expect("the same");
    builder.rotate_keep(1).init_tracing().expect_err("other settings");
    both_facades();
}

fn by_facade_and_macro() {
    log::warn!("by the facade");
    lastwords::info!("by the macro");
}

fn both_facades() {
    info!(n = 1, "by tracing");
    log::warn!("by the log facade");
}

fn with_layer(builder: Builder, scenario: impl FnOnce()) {
    builder.init().expect("a ring");
    subscribe(Registry::default().with(lastwords::tracing_layer()));
    scenario();
}

fn places() {
    info!("at line {}", line!());
    warn!(target: "elsewhere", "at line {}", line!());
    for n in 0..3 {
        event!(name: "named", tracing::Level::ERROR, n);
    }
}

/// An error with a cause.
#[derive(Debug)]
struct Failed(std::io::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request failed")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn fields() {
    let (user, list) = ("ada", [1, 2]);
    info!(user, n = 7u8, below = -7, wide = u128::MAX, deep = i128::MIN, "numbers of {user}");
    warn!(ratio = 0.5, ok = true, list = ?list, shown = %1.5, bytes = &b"\x01\x02"[..], none = Option::<u8>::None, "others");
    let failed = Failed(std::io::Error::other("disk full"));
    error!(error = &failed as &dyn Error, "two words" = "a b", r#type = "raw", "quoted");
    info!(first = 1, message = "message between fields", last = 2);
    info!(only = "fields");
    info!("");
}

fn spans() {
    let outer = info_span!("outer", id = 7, late = Empty, name = "a").entered();
    info!("one span");
    let inner = debug_span!("too fine", id = 8).entered();
    let innermost = error_span!("inner", target = "x").entered();
    warn!(rows = 12, "two of three spans");
    Span::current().record("target", 5);
    outer.record("late", field::display("now")).record("name", "b");
    info!("values were recorded");
    drop((innermost, inner));
    info!(parent: None, "no span");
    info!(parent: &outer, "a named span");
    std::thread::scope(|scope| {
        scope.spawn(|| info!("another thread"));
        scope.spawn(|| outer.in_scope(|| info!("another thread in the span")));
    });
    drop(outer);
    info!("outside");
}

/// Logs while it is shown.
struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("from within");
        lastwords::info!("from within, by the macro");
        f.write_str("shown")
    }
}

fn within() {
    let span = info_span!("span", made = ?Chatty, recorded = Empty).entered();
    span.record("recorded", field::debug(Chatty));
    info!(field = ?Chatty, "{:?}", Chatty);
}

fn long() {
    info!(long = "x".repeat(100_000), "spilled");
    info!("next");
}

fn threads() {
    let span = info_span!("all");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let span = &span;
            scope.spawn(move || (0..200).for_each(|n| span.in_scope(|| info!(thread, n, "line"))));
        }
    });
}

fn in_child(child: u64) {
    let _span = info_span!("child", child).entered();
    info!("forked");
}

fn levels() {
    let mut evaluated = false;
    trace!(
        n = {
            evaluated = true;
            1
        },
        "unseen"
    );
    assert!(!evaluated, "arguments of what is not recorded are left alone");
    debug!("debug");
    info!("info");
    warn!("warning");
    error!("error");
    let on = (tracing::enabled!(tracing::Level::DEBUG), tracing::enabled!(tracing::Level::TRACE));
    info!("enabled: {on:?}");
}

fn env_filter(builder: Builder) {
    builder.init().expect("a ring");
    let filter = EnvFilter::new("warn,tracer=info,loud=off,[request{id=7}]=info");
    subscribe(Registry::default().with(filter).with(lastwords::tracing_layer()));
    debug!("unseen: finer than the directive");
    info!("tracer's");
    error!(target: "loud", "unseen: off");
    info!(target: "other", "unseen: the default directive");
    warn!(target: "other", "other's");
    for id in [6, 7] {
        info_span!(target: "other", "request", id).in_scope(|| info!(target: "other", "in request {id}"));
    }
}

fn reloaded(builder: Builder) {
    builder.level(Level::TRACE).init().expect("a ring");
    let (filter, handle) = reload::Layer::new(EnvFilter::new("off"));
    subscribe(Registry::default().with(filter).with(lastwords::tracing_layer()));
    for (round, directives) in ["off", "info", "trace", "warn"].into_iter().enumerate() {
        handle.reload(EnvFilter::new(directives)).expect("the subscriber lives");
        trace!(round, "trace");
        info!(round, "info");
        warn!(round, "warn");
    }
}

/// Waits while another process changes the level. Both events are of one call site, which the first finds too fine.
fn outside(builder: Builder) {
    let event = |round: u8| debug!(round, "debug");
    with_layer(builder, || {
        event(1);
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).expect("a line");
        event(2);
    });
}

/// What is too fine for lastwords reaches another layer, and the other way round.
fn beside(builder: Builder) {
    builder.init().expect("a ring");
    let finer = console::layer().with_writer(std::io::stdout).without_time().with_ansi(false);
    let coarser = console::layer().with_writer(std::io::stdout).without_time().with_ansi(false);
    subscribe(
        Registry::default()
            .with(lastwords::tracing_layer())
            .with(finer.with_filter(LevelFilter::DEBUG))
            .with(coarser.with_filter(LevelFilter::ERROR)),
    );
    let _span = debug_span!("fine").entered();
    debug!("fine");
    info!("coarse");
}

fn forwarded(builder: Builder) {
    builder.log_facade(false).init().expect("a ring");
    tracing_log::LogTracer::init().expect("the facade is free");
    subscribe(Registry::default().with(EnvFilter::new("info,quiet=off")).with(lastwords::tracing_layer()));
    let _span = info_span!("request", id = 7).entered();
    log::info!(target: "by::log", "at line {}", line!());
    log::error!(target: "quiet", "unseen");
    log::debug!("unseen");
}

fn before(builder: Builder) {
    subscribe(Registry::default().with(lastwords::tracing_layer()));
    let span = |name| info_span!("span", name);
    let say = |text| info!("{text}");
    let early = span("early").entered();
    say("unseen");
    assert!(!tracing::enabled!(tracing::Level::ERROR), "nobody records yet");
    builder.init().expect("a ring");
    say("seen");
    drop(early);
    let _late = span("late").entered();
    say("seen in a span");
}
