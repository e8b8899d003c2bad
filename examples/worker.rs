//! A worker that crawls pages, as a process of its own beside its host. It shows that a worker needs one line to log,
//! `init_from_env`, and that what the HTTP client logs through the `log` facade lands in the same ring.
//!
//! The host starts it; see `host.rs`. By hand, while something serves pages:
//!
//! ```sh
//! LASTWORDS_DIR=/tmp/crawl LASTWORDS_LOG=trace cargo run -p lastwords-examples --bin worker http://127.0.0.1:8080/
//! ```

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use ureq::Agent;

/// A page that takes longer than this ends the worker, so that it never outlives its host for long.
const REQUEST_MAX: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            lastwords::error!("the worker gives up: {error}");
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    lastwords::init_from_env()?;
    let start = env::args().nth(1).ok_or("expected the address of the first page")?;
    crawl(start)
}

/// Follows the links from page to page until one has none.
fn crawl(start: String) -> Result<(), Box<dyn Error>> {
    let agent: Agent = Agent::config_builder().timeout_global(Some(REQUEST_MAX)).build().into();
    let (mut words, mut next) = (0, Some(start));
    while let Some(url) = next {
        // Whatever happens to this process while it fetches, this line says which page it was at.
        lastwords::info!("fetching {url}, {words} words so far");
        let page = agent.get(&url).call()?.body_mut().read_to_string()?;
        words += page.split_ascii_whitespace().count();
        next = link(&page).map(str::to_owned);
    }
    lastwords::info!("done, {words} words");
    Ok(())
}

/// Where the first link of a page leads.
fn link(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<a href=\"")?;
    rest.split_once('"').map(|(url, _)| url)
}
