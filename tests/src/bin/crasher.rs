//! A program that crashes: `crasher FOLDER [word …] KIND`.
//!
//! Words: `threads` (others are captured too), `beside:KIND` (of those in `beside.rs`, `beside:KIND*N` for N of them), `mapped:N` (its file as code once more, N times), `spin` (waits
//! until they spin), `uses:N` and `blocks:N` (signal N), `later` (a handler
//! that was set after ours calls it, and then makes faults good), `once` (an earlier handler makes one fault good), `bare` (no handlers from before, not even that of `std`), `survivor` (an earlier handler makes faults good),
//! `crashing` (an earlier handler crashes), `killing` (one ends the process by SIGKILL), `deciding` (one takes its time, see `deciding.rs`), `off` (no captures), `embedded` (with its own flusher), `wait` (for a line on standard input, after a line that says
//! so), `undumpable` (the kernel would leave no core dump of it), `panic` (on the main thread, and catches it), `survive:N` (that many faults, and prints the nanoseconds of one). Kinds are in `crashes.rs`, and `exit`, `kill`.

#[cfg(target_arch = "x86_64")]
fn main() {
    use lastwords_tests::{beside, crashes, faults, handlers};
    use rustix::process::DumpableBehavior;
    use std::io::BufRead;

    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let words: Vec<String> = arguments.collect();
    let has = |word: &str| words.iter().any(|found| found == word);
    for (word, prepare) in [
        ("bare", crashes::set_no_handlers as fn()),
        ("survivor", crashes::set_survivor),
        ("once", faults::set_handler_for_once),
        ("crashing", crashes::set_crashing_handler),
        ("killing", crashes::set_killing_handler),
        ("deciding", lastwords_tests::deciding::set_handler),
    ] {
        if has(word) {
            prepare();
        }
    }
    let flusher = if has("embedded") { lastwords::Flusher::Embedded } else { lastwords::Flusher::Never };
    let builder = lastwords::builder("crasher").dir(folder).flusher(flusher);
    let builder = builder.crash_capture(!has("off"));
    let builder = if has("threads") { builder.crash_threads(true) } else { builder };
    builder.init().expect("a logger");
    lastwords::info!("it begins");
    for word in &words {
        match word.as_str() {
            "bare" | "survivor" | "once" | "crashing" | "killing" | "deciding" | "off" | "threads" | "embedded" => {}
            "spin" => beside::see_them_spin(),
            "later" => faults::set_later_handler(),
            "wait" => {
                println!("ready");
                std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
            }
            "undumpable" => rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).expect("set"),
            "panic" => assert!(std::panic::catch_unwind(|| panic!("caught")).is_err()),
            "exit" => return,
            "close" => lastwords::close(),
            "kill" => lastwords_tests::handlers::send(libc::SIGKILL),
            word => match word.split_once(':') {
                Some(("survive", faults)) => println!("{}", crashes::survive(faults.parse().expect("a number"))),
                Some(("beside", what)) => beside::start(what),
                Some(("mapped", times)) => faults::map_own_code(times.parse().expect("a number")),
                Some(("uses", signal)) => beside::use_signal(signal.parse().expect("a number")),
                Some(("blocks", signal)) => handlers::block(signal.parse().expect("a number")),
                _ => crashes::act(word),
            },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[global_allocator]
static ALLOCATOR: lastwords_tests::crashes::Allocator = lastwords_tests::crashes::Allocator;

#[cfg(not(target_arch = "x86_64"))]
fn main() {}
