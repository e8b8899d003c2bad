//! How many instructions a log call takes, counted by valgrind: the same on every machine and however busy it is.
//!
//! Each row runs in a process of its own under callgrind, with fewer and with more calls; the difference is the calls' own.
//! There is no flusher, and the lane holds all of them, so that nothing but the calls is counted.
//!
//! `cargo bench --bench instructions`; with `--features tracing` the layer's too

use lastwords::{Flusher, Level};
use std::hint::black_box;
use std::process::Command;

const FEW: u64 = 5_000;
const MANY: u64 = 15_000;
const NAME: &str = "NVIDIA RTX 4090x";
const ROWS: &[(&str, &str)] = &[
    ("loop", "an empty loop"),
    ("disabled", "lastwords::debug!, disabled"),
    ("static", "lastwords::info!, 40-byte static text"),
    ("frame", "lastwords::info!, frame {} took {} ms on {}"),
    ("fields4", "lastwords::info!, 4 fields"),
    ("fields8", "lastwords::info!, 8 fields"),
    ("long", "lastwords::info!, a 200-byte string"),
    ("facade-static", "log::info!, 40-byte static text"),
    ("facade", "log::info!, frame {} took {} ms on {}"),
    #[cfg(feature = "tracing")]
    ("tracing", "tracing::info!, no field"),
    #[cfg(feature = "tracing")]
    ("tracing4", "tracing::info!, 4 fields"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, row, count] = arguments.as_slice()
        && flag == "--row"
    {
        return calls(row, count.parse().expect("a number"));
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    println!("| call | instructions |");
    println!("|---|---:|");
    let baseline = per_call("loop");
    for (row, name) in &ROWS[1..] {
        println!("| {name} | {:.0} |", per_call(row) - baseline);
    }
}

fn per_call(row: &str) -> f64 {
    (collected(row, MANY) - collected(row, FEW)) as f64 / (MANY - FEW) as f64
}

/// Instructions of a whole process.
fn collected(row: &str, count: u64) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--row", row, &count.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let number = text.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind tells").1;
    number.trim().parse().expect("a number")
}

fn calls(row: &str, count: u64) {
    let folder = std::env::temp_dir().join(format!("lastwords-bench-instructions-{}", std::process::id()));
    lastwords::builder("bench")
        .dir(&folder)
        .level(Level::INFO)
        .lanes(3)
        .slots_per_lane(1 << 16)
        .flusher(Flusher::Never)
        .init()
        .expect("a ring");
    #[cfg(feature = "tracing")]
    {
        use tracing_subscriber::layer::SubscriberExt;
        let subscriber = tracing_subscriber::registry().with(lastwords::tracing_layer());
        tracing::subscriber::set_global_default(subscriber).expect("the first");
    }
    let long = black_box("0123456789".repeat(20));
    for n in 0..count {
        let n = black_box(n);
        match row {
            "loop" => {}
            "disabled" => lastwords::debug!("frame {} took {} ms on {}", n, n as f64 * 0.25, NAME),
            "static" => lastwords::info!("Host process starting up, all is in line"),
            "frame" => lastwords::info!("frame {} took {} ms on {}", n, n as f64 * 0.25, NAME),
            "fields4" => lastwords::info!("four"; a = n, b = n, c = n, d = n),
            "fields8" => lastwords::info!("eight"; a = n, b = n, c = n, d = n, e = n, f = n, g = n, h = n),
            "long" => lastwords::info!("{}", long),
            "facade-static" => log::info!("Host process starting up, all is in line"),
            "facade" => log::info!("frame {} took {} ms on {}", n, n as f64 * 0.25, NAME),
            #[cfg(feature = "tracing")]
            "tracing" => tracing::info!("frame done"),
            #[cfg(feature = "tracing")]
            "tracing4" => tracing::info!(n, camera = "left", ms = n as f64 * 0.25, ok = true, "frame done"),
            other => panic!("no row {other}"),
        }
    }
    std::fs::remove_dir_all(folder).expect("removed");
}
