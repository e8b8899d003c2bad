//! The macros with fields: named values behind the message, which scripts find again.
//!
//! ```sh
//! cargo run -p lastwords-examples --bin fields
//! ```

use lastwords::Level;
use std::time::Duration;

/// What has a `Debug` and no `Display`.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug alone")]
struct Point {
    x: i32,
    y: i32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    lastwords::builder("camera").level(Level::DEBUG).init()?;

    // Numbers, strings and bytes are copied as they are; the flusher makes text of them.
    let (frame, camera, took) = (7, "left", Duration::from_micros(16_600));
    lastwords::info!("frame {frame} took {:.1} ms", took.as_secs_f64() * 1e3; camera, retries = 0);

    // Any other type is formatted at once: by its Display, or with a question mark by its Debug.
    lastwords::debug!("corner found"; at = ?Point { x: 3, y: -4 }, sharp = true);

    // What is not a single word is in quotes.
    lastwords::warning!(target: "camera::usb", "reset"; reason = "no answer for 2 s", port.number = 3);
    Ok(())
}
