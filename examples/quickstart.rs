//! The program of the README: one call, then log lines that outlive the process.
//!
//! ```sh
//! cargo run -p lastwords-examples --bin quickstart
//! ```

use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    lastwords::init("host")?; // logs to <temp dir>/<program>/logs/host.log, or to LASTWORDS_DIR
    lastwords::info!("Host process starting up");
    log::info!("crates that log through the `log` facade land in the ring too");

    let worker = std::thread::spawn(|| {
        for frame in 0..3 {
            lastwords::info!("frame {frame} took {:.1} ms", 16.6; camera = "left");
            std::thread::sleep(Duration::from_millis(10));
        }
        lastwords::error!("something is wrong");
    });
    worker.join().expect("the worker ends");

    println!("see {}", lastwords::folder().expect("initialised").display());
    Ok(()) // at a normal exit the file holds everything; there is no guard to keep
}
