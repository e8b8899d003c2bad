//! A host whose worker is killed in the middle of a request, and the worker's last lines all the same.
//!
//! The host serves pages on the loopback interface and starts a worker that crawls them at TRACE, some tens of
//! thousands of records through the `log` facade. The last page is never answered: once the worker hangs in that
//! request, the host kills it with SIGKILL and prints what the dead worker had to say. The worker wrote to no file;
//! its lines were in its ring, and the host's embedded flusher drained it.
//!
//! ```sh
//! cargo build -p lastwords-examples # the host starts the worker's program, which `cargo run` alone does not build
//! cargo run -p lastwords-examples --bin host [FOLDER]
//! ```
//!
//! The exit status is not 0 if the worker's last words, or its death line after them, are missing.

use actix_web::{App, HttpRequest, HttpServer, middleware, rt, web};
use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// The page that is never answered.
const LAST_PAGE: u32 = 300;
/// The worker has this long to get there.
const CRAWL_MAX: Duration = Duration::from_secs(60);
/// The death line has this long to appear; one second is usual.
const DEATH_LINE_MAX: Duration = Duration::from_secs(20);
/// Time between two checks of something that cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of the dead worker to print.
const TAIL: usize = 8;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut builder = lastwords::builder("host").level(lastwords::Level::TRACE);
    if let Some(folder) = env::args_os().nth(1) {
        builder = builder.dir(folder);
    }
    builder.init()?;
    let folder = lastwords::folder().ok_or("no log folder")?;

    let (held, request_held) = mpsc::channel();
    let address = start_server(held)?;
    let mut worker = Worker::start(address, &folder)?;
    worker.wait_until_in_request(&request_held)?;
    worker.kill()?;

    let last_words = format!("[{}] [INFO] fetching http://{address}/page/{LAST_PAGE},", worker.pid());
    let lines = lines_of_the_dead(&folder, worker.pid(), &last_words)?;
    println!("the worker with pid {} was killed in its request for page {LAST_PAGE}; its last lines:", worker.pid());
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        println!("{line}");
    }
    println!("all {} lines: {}", lines.len(), folder.join("worker.log").display());
    Ok(())
}

/// Serves pages from threads of its own, as long as the process lives.
fn start_server(held: Sender<()>) -> Result<SocketAddr, Box<dyn Error>> {
    let (bound, address) = mpsc::channel();
    thread::spawn(move || rt::System::new().block_on(serve(held, bound)));
    Ok(address.recv_timeout(CRAWL_MAX)??)
}

async fn serve(held: Sender<()>, bound: Sender<io::Result<SocketAddr>>) {
    let server = HttpServer::new(move || {
        let held = web::Data::new(held.clone());
        App::new().app_data(held).wrap(middleware::Logger::default()).route("/page/{number}", web::get().to(page))
    });
    let server = match server.workers(1).disable_signals().bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(server) => server,
        Err(error) => {
            let _ = bound.send(Err(error));
            return;
        }
    };
    // Connections wait in the listening socket until the server runs, so no client comes too early.
    let _ = bound.send(server.addrs().first().copied().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
    if let Err(error) = server.run().await {
        lastwords::error!("the server ends: {error}");
    }
}

/// A page with a link to the next one. The last page keeps its client waiting for ever.
async fn page(request: HttpRequest, number: web::Path<u32>, held: web::Data<Sender<()>>) -> String {
    if *number >= LAST_PAGE {
        lastwords::info!("page {number} is held back");
        let _ = held.send(());
        return std::future::pending().await;
    }
    let address = request.app_config().local_addr();
    let list: String = (1..=*number % 10).map(|item| format!("<li>item {item} of page {number}\n")).collect();
    format!("<ul>\n{list}</ul>\n<a href=\"http://{address}/page/{}\">next page</a>\n", *number + 1)
}

/// The worker's process, killed at the latest when it is dropped.
#[derive(Debug)]
struct Worker {
    process: Child,
}

impl Worker {
    /// Starts the worker's program, which was built beside this one. All that it needs is in its environment.
    fn start(address: SocketAddr, folder: &Path) -> Result<Worker, Box<dyn Error>> {
        let program: PathBuf = env::current_exe()?.with_file_name("worker");
        let process = Command::new(&program)
            .arg(format!("http://{address}/page/1"))
            .env("LASTWORDS_ROLE", "worker")
            .env("LASTWORDS_DIR", folder)
            .env("LASTWORDS_LOG", "trace")
            .spawn()
            .map_err(|error| {
                format!("{}: {error}; `cargo build -p lastwords-examples` builds all programs", program.display())
            })?;
        lastwords::info!("worker {} started", process.id());
        Ok(Worker { process })
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the server holds the worker's last request back. A worker that ends before is an error.
    fn wait_until_in_request(&mut self, request_held: &Receiver<()>) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        while start.elapsed() < CRAWL_MAX {
            match request_held.recv_timeout(LOOK) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err("the server has ended".into()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("the worker ended by itself: {status}").into());
            }
        }
        Err(format!("the worker did not get to page {LAST_PAGE} in {} s", CRAWL_MAX.as_secs()).into())
    }

    /// Kills it with SIGKILL: no handler, destructor or exit hook of the worker runs.
    fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        let status = self.process.wait()?;
        lastwords::info!("worker {} ended: {status}", self.process.id());
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All lines of the process with this pid, as soon as its last words and, after them, its death line are in the file.
fn lines_of_the_dead(folder: &Path, pid: u32, last_words: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let (own, death) = (format!(" [{pid}] "), format!("[{pid}] [CRITICAL]"));
    let start = Instant::now();
    while start.elapsed() < DEATH_LINE_MAX {
        let text = worker_log(folder);
        if text.find(last_words).is_some_and(|at| text[at..].contains(&death)) {
            return Ok(text.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect());
        }
        thread::sleep(LOOK);
    }
    let seconds = DEATH_LINE_MAX.as_secs();
    Err(format!("{}: no \"{last_words}\" with \"{death}\" after it in {seconds} s", folder.display()).into())
}

/// The text of the worker's log. A folder that is used for many runs has rotated files, maybe amid this worker's lines.
fn worker_log(folder: &Path) -> String {
    let names = ["worker.log.1", "worker.log"];
    names.iter().filter_map(|name| fs::read_to_string(folder.join(name)).ok()).collect()
}
