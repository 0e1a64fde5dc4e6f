//! The warm path: our router beside nginx and haproxy as plain reverse proxies to the same backend.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::load::closed_loop;
use crate::process::{Process, free_address, listening};
use crate::stats::{Samples, figure, heading, row};

/// How long each proxy is measured at each concurrency.
const TIME: Duration = Duration::from_secs(6);
/// Rounds over all proxies, so that a noisy moment does not hit only one of them.
const ROUNDS: usize = 3;

struct Contender {
    name: &'static str,
    address: SocketAddr,
    process: Process,
    alone: Vec<Duration>,
    many: Vec<Duration>,
    cpu_us: Vec<f64>,
}

/// Prints latency and processor time of each proxy, and ours relative to haproxy.
pub(crate) async fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let socket = folder.path().join("backend.sock");
    let itself = std::env::current_exe()?;
    let direct = free_address()?;
    let _backend = Process::start(Command::new(&itself).arg("backend").arg(&socket).arg(direct.to_string()))?;
    listening(direct).await?;
    let mut contenders = contenders(folder.path(), &itself, &socket).await?;

    let mut alone_direct = Vec::new();
    for _ in 0..ROUNDS {
        alone_direct.extend(closed_loop(direct, "/hello", 1, TIME / 2).await?);
        for contender in &mut contenders {
            contender.alone.extend(closed_loop(contender.address, "/hello", 1, TIME / 2).await?);
            let before = contender.process.cpu()?;
            let latencies = closed_loop(contender.address, "/hello", 16, TIME).await?;
            let used = contender.process.cpu()? - before;
            #[allow(clippy::cast_precision_loss)]
            contender.cpu_us.push(used.as_secs_f64() * 1e6 / latencies.len() as f64);
            contender.many.extend(latencies);
        }
    }
    report(&alone_direct, contenders);
    Ok(())
}

async fn contenders(folder: &Path, itself: &Path, socket: &Path) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    let ours = free_address()?;
    let process = Process::start(Command::new(itself).arg("router").arg(socket).arg(ours.to_string()))?;
    all.push(("fission router", ours, process));
    if let Some(program) = find_program("haproxy") {
        let address = free_address()?;
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, haproxy_config(address, socket))?;
        all.push(("haproxy", address, Process::start(Command::new(program).arg("-db").arg("-f").arg(&config))?));
    }
    if let Some(program) = find_program("nginx") {
        let address = free_address()?;
        let config = folder.join("nginx.conf");
        std::fs::write(&config, nginx_config(address, socket, folder))?;
        let mut command = Command::new(program);
        all.push(("nginx", address, Process::start(command.arg("-p").arg(folder).arg("-c").arg(&config))?));
    }
    let mut contenders = Vec::new();
    for (name, address, process) in all {
        listening(address).await?;
        contenders.push(Contender { name, address, process, alone: vec![], many: vec![], cpu_us: vec![] });
    }
    Ok(contenders)
}

fn report(direct: &[Duration], contenders: Vec<Contender>) {
    heading("Warm path: one hello backend on a unix socket behind each proxy");
    let direct = Samples::new(direct.to_vec());
    row("c=1, backend alone", &direct, "");
    let mut cpu = Vec::new();
    for mut contender in contenders {
        contender.cpu_us.sort_by(f64::total_cmp);
        let median = contender.cpu_us[contender.cpu_us.len() / 2];
        let alone = Samples::new(contender.alone);
        let added = alone.percentile(50.0) - direct.percentile(50.0);
        row(&format!("c=1, {}", contender.name), &alone, &format!("adds {added:.3} ms p50"));
        #[allow(clippy::cast_precision_loss)]
        let rate = contender.many.len() as f64 / (TIME.as_secs_f64() * ROUNDS as f64);
        let many = Samples::new(contender.many);
        row(&format!("c=16, {}", contender.name), &many, &format!("{rate:.0}/s, {median:.1} us CPU per request"));
        cpu.push((contender.name, median));
    }
    let of = |wanted: &str| cpu.iter().find(|(name, _)| *name == wanted).map(|(_, median)| *median);
    for other in ["haproxy", "nginx"] {
        match (of("fission router"), of(other)) {
            (Some(ours), Some(theirs)) => {
                figure(
                    &format!("CPU per request, ours : {other}"),
                    ROUNDS,
                    &format!("{:.2}", ours / theirs),
                    "ratio of medians, same run",
                );
            }
            _ => figure(
                &format!("CPU per request, ours : {other}"),
                0,
                "not measured",
                &format!("{other} is not installed"),
            ),
        }
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

fn haproxy_config(address: SocketAddr, socket: &Path) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\n  http-reuse always\nfrontend f\n  bind {address}\n  default_backend b\nbackend b\n  \
         server s unix@{}\n",
        socket.display()
    )
}

fn nginx_config(address: SocketAddr, socket: &Path, folder: &Path) -> String {
    format!(
        "daemon off;\nworker_processes 1;\npid {0}/nginx.pid;\nerror_log {0}/nginx.log;\nevents {{ worker_connections 4096; }}\n\
         http {{ access_log off; upstream b {{ server unix:{1}; keepalive 64; }}\n server {{ listen {address}; \
         keepalive_requests 1000000000; location / {{ proxy_pass http://b; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; }} }} }}\n",
        folder.display(),
        socket.display()
    )
}
