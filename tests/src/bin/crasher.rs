//! A program that crashes: `crasher FOLDER [word …] KIND`.
//!
//! Words: `bare` (no handlers from before, not even that of `std`), `survivor` (an earlier handler makes faults good),
//! `crashing` (an earlier handler crashes), `off` (no captures), `wait` (for a line on standard input, after a line that says
//! so), `panic` (on the main thread, and catches it), `survive:N` (that many faults, and prints the nanoseconds of one). Kinds are in `crashes.rs`, and `exit`, `kill`.

#[cfg(target_arch = "x86_64")]
fn main() {
    use lastwords_tests::crashes;
    use std::io::BufRead;

    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let words: Vec<String> = arguments.collect();
    let has = |word: &str| words.iter().any(|found| found == word);
    for (word, prepare) in [
        ("bare", crashes::set_no_handlers as fn()),
        ("survivor", crashes::set_survivor),
        ("crashing", crashes::set_crashing_handler),
    ] {
        if has(word) {
            prepare();
        }
    }
    let builder = lastwords::builder("crasher").dir(folder).flusher(lastwords::Flusher::Never);
    builder.crash_capture(!has("off")).init().expect("a logger");
    lastwords::info!("it begins");
    for word in &words {
        match word.as_str() {
            "bare" | "survivor" | "crashing" | "off" => {}
            "wait" => {
                println!("ready");
                std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
            }
            "panic" => assert!(std::panic::catch_unwind(|| panic!("caught")).is_err()),
            "exit" => return,
            "close" => lastwords::close(),
            "kill" => lastwords_tests::handlers::send(libc::SIGKILL),
            word => match word.strip_prefix("survive:") {
                Some(faults) => println!("{}", crashes::survive(faults.parse().expect("a number"))),
                None => crashes::act(word),
            },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[global_allocator]
static ALLOCATOR: lastwords_tests::crashes::Allocator = lastwords_tests::crashes::Allocator;

#[cfg(not(target_arch = "x86_64"))]
fn main() {}
