//! The `log` facade with key-values: for libraries that know nothing of lastwords, and programs that may change their logger.
//!
//! ```sh
//! cargo run -p lastwords-examples --bin facade
//! ```

use std::net::IpAddr;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    lastwords::init("shop")?;
    order(1, "ada", 3);
    order(2, "bob", 0);
    Ok(())
}

/// Knows the facade alone.
fn order(id: u64, user: &str, items: u32) {
    let from = IpAddr::from([127, 0, 0, 1]);
    log::info!(target: "shop::orders", id, user, from:% = from; "order of {items} items");
    match items.checked_sub(1) {
        Some(further) => log::info!(id, further; "packed"),
        None => log::error!(id, user:?; "nothing to pack"),
    }
}
