//! A panic in the log: its message, its place, its thread and the calls that led there.
//!
//! ```sh
//! cargo run -p lastwords-examples --bin panic
//! ```

use std::thread;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // This is all that it takes; `builder("importer").panic_hook(false)` would leave panics alone.
    lastwords::init("importer")?;

    let reader = thread::Builder::new().name("reader".to_owned()).spawn(|| sum(&["1", "2", "three"]))?;
    match reader.join() {
        Ok(sum) => lastwords::info!("the sum is {sum}"),
        Err(_) => lastwords::error!("the reader gave up"),
    }
    Ok(())
}

fn sum(lines: &[&str]) -> u64 {
    lines.iter().map(|line| line.parse::<u64>().expect("a number in each line")).sum()
}
