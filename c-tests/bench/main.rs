//! The benchmark: the same work done by a bare libcurl program and by the library, alternately, in
//! one run.
//!
//! ```text
//! bench [--quick] [--noise] [--rounds N] [ROW...]
//! bench servers
//! bench client bare|ours get --url http://127.0.0.1:PORT/40 --inflight 64 --count 2000
//! ```
//!
//! The first prints the table: the median of each side, and the median and the range of the ratios
//! of the rounds. A ROW is a name from the table or the beginning of one: get, get-64. `--noise`
//! puts the bare program on both sides: what differs then is the machine. The second starts the
//! servers, prints their URLs and ends with its standard input. The third is one side of one row.
//!
//! A client is a process of its own, so that memory, processor time and threads are one side's;
//! what it prints is what it measured about itself. To look at one under a profiler, start
//! `bench servers` in one terminal and then, with a URL that it printed:
//!
//! ```text
//! B=target/release/bench
//! valgrind --tool=callgrind $B client ours get --url URL --inflight 64 --count 2000
//! perf record -g $B client ours get --url URL --inflight 64 --count 200000
//! ```
//!
//! Instruction counts are the figure that repeats (the difference of two runs with different
//! `--count` leaves the start of the process out). One request in flight mostly shows how the
//! machine sleeps and wakes.

mod bare;
mod options;
mod ours;
mod servers;
mod usage;

use std::collections::HashMap;
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use options::Options;
use servers::{LARGE_FILE, Servers};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["client", side, row, ..] => client(side, row, &args[3..]),
        ["sink"] => servers::sink().map_err(|error| error.to_string()),
        ["servers"] => serve(),
        _ => bench(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn client(side: &str, row: &str, args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    match side {
        "bare" => bare::run(row, &options),
        "ours" => ours::run(row, &options),
        _ => Err(format!("{side} is neither bare nor ours")),
    }
}

fn serve() -> Result<(), String> {
    raise_descriptor_limit();
    let servers = Servers::start().map_err(|error| error.to_string())?;
    println!("--url {}/40", servers.http);
    println!("--url {}/40 --ca {}", servers.https, servers.ca.display());
    println!("SSL_CERT_FILE={}", servers.ca.display());
    println!("--url {}/upload", servers.sink_url);
    println!("--hold-url {}/hold", servers.sink_url);
    let mut rest = Vec::new();
    std::io::stdin()
        .read_to_end(&mut rest)
        .map_err(|error| error.to_string())?;
    Ok(())
}

// ---- The rows -----------------------------------------------------------------------------------

/// What a target is about.
#[derive(Clone, Copy)]
enum Target {
    None,
    RatioAtLeast(f64),
    RatioAtMost(f64),
    OursBelow(f64),
    OursAtMost(f64),
}

impl Target {
    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::RatioAtLeast(target) => format!("ratio >= {target:.2}"),
            Self::RatioAtMost(target) => format!("ratio <= {target:.2}"),
            Self::OursBelow(target) => format!("ours < {target}"),
            Self::OursAtMost(target) => format!("ours <= {target}"),
        }
    }

    fn met(self, ours: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::None => None,
            Self::RatioAtLeast(target) => ratio.map(|ratio| ratio >= target),
            Self::RatioAtMost(target) => ratio.map(|ratio| ratio <= target),
            Self::OursBelow(target) => Some(ours < target),
            Self::OursAtMost(target) => Some(ours <= target),
        }
    }
}

struct Metric {
    key: &'static str,
    label: &'static str,
    target: Target,
}

struct Row {
    name: String,
    args: Vec<String>,
    rounds: usize,
    /// False: there is nothing to compare with.
    bare: bool,
    /// Descriptors that a side needs.
    descriptors: u64,
    metrics: Vec<Metric>,
}

fn metric(key: &'static str, label: &'static str, target: Target) -> Metric {
    Metric { key, label, target }
}

fn row(name: &str, args: &str, metrics: Vec<Metric>) -> Row {
    Row {
        name: name.to_owned(),
        args: args.split_whitespace().map(str::to_owned).collect(),
        rounds: usize::MAX,
        bare: true,
        descriptors: 0,
        metrics,
    }
}

/// The metrics of a row of small requests.
fn request_metrics(rps: Target, cpu: Target) -> Vec<Metric> {
    vec![
        metric("rps", "requests/s", rps),
        metric("cpu_us", "CPU us/request", cpu),
        metric("switches", "switches/request", Target::None),
        metric("peak_mib", "peak MiB", Target::None),
        metric("threads", "threads", Target::OursAtMost(3.0)),
    ]
}

fn body_metrics(speed: Target, memory: Metric) -> Vec<Metric> {
    vec![
        metric("mib_s", "MiB/s", speed),
        metric("cpu_ms_gib", "CPU ms/GiB", Target::None),
        metric("switches", "switches/transfer", Target::None),
        memory,
        metric("threads", "threads", Target::OursAtMost(3.0)),
    ]
}

/// The metrics of a row of files. Threads of the pool write and read these, besides the usual three.
fn file_metrics() -> Vec<Metric> {
    let memory = metric(
        "over_idle_mib",
        "peak MiB above idle",
        Target::OursBelow(16.0),
    );
    let mut metrics = body_metrics(Target::RatioAtLeast(0.95), memory);
    metrics.pop();
    metrics.push(metric("threads", "threads", Target::None));
    metrics
}

fn rows(servers: &Servers, quick: bool) -> Vec<Row> {
    let (http, https) = (&servers.http, &servers.https);
    let (sink, ca) = (&servers.sink_url, servers.ca.display());
    let count: u64 = if quick { 4_000 } else { 20_000 };
    let mut rows = Vec::new();

    for (inflight, rps, cpu) in [
        (1, 0.75, Target::None),
        (16, 0.85, Target::None),
        (64, 1.0, Target::RatioAtMost(1.3)),
        (256, 0.95, Target::None),
    ] {
        rows.push(row(
            &format!("get-{inflight}"),
            &format!("get --url {http}/40 --inflight {inflight} --count {count}"),
            request_metrics(Target::RatioAtLeast(rps), cpu),
        ));
    }
    rows.push(row(
        "h2-64",
        &format!("get --url {https}/40 --ca {ca} --inflight 64 --count {count}"),
        request_metrics(Target::RatioAtLeast(1.05), Target::None),
    ));

    // One is over too soon to measure.
    let times = if quick { 2 } else { 3 };
    let peak = || metric("peak_mib", "peak MiB", Target::OursBelow(24.0));
    rows.push(row(
        "download",
        &format!("download --url {http}/1g --count {times}"),
        body_metrics(Target::RatioAtLeast(0.95), peak()),
    ));
    rows.push(row(
        "download-h2",
        &format!("download --url {https}/1g --ca {ca} --count {times}"),
        body_metrics(Target::None, metric("peak_mib", "peak MiB", Target::None)),
    ));
    rows.push(row(
        "upload",
        &format!(
            "upload --url {sink}/upload --size {} --count {times}",
            512 << 20
        ),
        body_metrics(
            Target::RatioAtLeast(0.95),
            metric("over_mib", "peak MiB above the body", Target::None),
        ),
    ));

    // From and to files of the disk.
    rows.push(row(
        "download-file",
        &format!("download-file --url {http}/2g --size {LARGE_FILE}"),
        file_metrics(),
    ));
    let file = servers.large_file();
    rows.push(row(
        "upload-file",
        &format!("upload-file --url {sink}/upload --file {}", file.display()),
        file_metrics(),
    ));

    for tasks in [10, 100, 1_000, 10_000] {
        rows.push(Row {
            rounds: 3,
            descriptors: tasks + 200,
            ..row(
                &format!("idle-{tasks}"),
                &format!("idle --hold-url {sink}/hold --tasks {tasks}"),
                vec![
                    metric("kib_task", "KiB/idle task", Target::None),
                    metric("threads", "threads", Target::OursAtMost(3.0)),
                ],
            )
        });
    }

    // All of them active: the server answers as fast as it can.
    for inflight in [10, 100, 1_000, 10_000] {
        let count = count.max(if quick { 2 } else { 3 } * inflight);
        rows.push(Row {
            rounds: 3,
            descriptors: inflight + 200,
            ..row(
                &format!("grow-{inflight}"),
                &format!("get --url {http}/40 --inflight {inflight} --count {count}"),
                vec![metric("cpu_us", "CPU us/request", Target::None)],
            )
        });
    }
    // Ten of them active, the others wait for an answer that does not come.
    for inflight in [10, 100, 1_000, 10_000] {
        let held = inflight - 10;
        rows.push(Row {
            rounds: 3,
            descriptors: inflight + 200,
            ..row(
                &format!("held-{inflight}"),
                &format!(
                    "get --url {http}/40 --inflight 10 --count {count} \
                     --hold-url {sink}/hold --held {held}"
                ),
                vec![metric("cpu_us", "CPU us/request", Target::None)],
            )
        });
    }

    let many = if quick { 20_000 } else { 100_000 };
    rows.push(Row {
        rounds: 1,
        ..row(
            "rss",
            &format!("get --url {http}/40 --inflight 16 --count {many} --mark 1000"),
            vec![
                metric("mark_kib", "RSS KiB after 1,000", Target::None),
                metric("rss_kib", "RSS KiB at the end", Target::None),
                metric("growth_kib", "growth KiB", Target::None),
            ],
        )
    });

    for (queue, count) in [("shared", 1), ("shared", 1000), ("own", 1), ("own", 1000)] {
        rows.push(Row {
            rounds: 1,
            bare: false,
            ..row(
                &format!("sessions-{queue}-{count}"),
                &format!("sessions --url {http}/40 --queue {queue} --sessions {count}"),
                vec![
                    metric("threads", "threads", Target::OursAtMost(3.0)),
                    metric("kib_session", "KiB/further session", Target::None),
                ],
            )
        });
    }
    rows
}

// ---- The run ------------------------------------------------------------------------------------

/// A client that has not ended by then hangs.
const TIME_LIMIT: Duration = Duration::from_secs(180);

type Measured = HashMap<String, f64>;

/// The descriptor limit, after raising it as far as it goes: the children inherit it.
fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct is valid for both calls.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
    limit.rlim_cur
}

fn measure(side: &str, row: &Row, servers: &Servers) -> Result<Measured, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut child = Command::new(std::env::current_exe().map_err(text)?)
        .args(["client", side])
        .args(&row.args)
        .env("SSL_CERT_FILE", &servers.ca)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(text)?;
    let deadline = Instant::now() + TIME_LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().and_then(|()| child.wait()).map_err(text)?;
            return Err(format!("not ready after {} s", TIME_LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // One line: it fits the pipe.
    let mut line = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut line).map_err(text)?;
    }
    if !status.success() {
        return Err(status.to_string());
    }
    let measured = usage::parse_report(&line);
    match measured.get("errors") {
        Some(0.0) => Ok(measured),
        Some(errors) => Err(format!("{errors} requests failed")),
        None => Err("no report".to_owned()),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn bench(args: &[String]) -> Result<(), String> {
    let mut quick = false;
    let mut noise = false;
    let mut rounds = None;
    let mut wanted = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--noise" => noise = true,
            "--rounds" => rounds = args.next().and_then(|number| number.parse().ok()),
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            name => wanted.push(name.to_owned()),
        }
    }
    let rounds: usize = rounds.unwrap_or(if quick { 3 } else { 5 });
    let limit = raise_descriptor_limit();
    let servers = Servers::start().map_err(|error| error.to_string())?;
    let mut rows = rows(&servers, quick);
    let matches = |name: &str, word: &String| name == word || name.starts_with(&format!("{word}-"));
    if let Some(word) = wanted
        .iter()
        .find(|word| !rows.iter().any(|row| matches(&row.name, word)))
    {
        return Err(format!("no row is named {word}"));
    }
    rows.retain(|row| row.bare || !noise);
    if !wanted.is_empty() {
        rows.retain(|row| wanted.iter().any(|word| matches(&row.name, word)));
    }

    if rows.iter().any(|row| row.name.contains("load")) {
        servers.warm().map_err(|error| error.to_string())?;
    }
    println!(
        "{:<20} {:<24} {:>10} {:>10} {:>7} {:>13}  target",
        "row", "measure", "bare", "ours", "ratio", "range"
    );
    for row in &rows {
        if row.descriptors > limit {
            println!(
                "{:<20} needs {} descriptors of {limit}",
                row.name, row.descriptors
            );
            continue;
        }
        let mut pairs = Vec::new();
        for round in 0..rounds.min(row.rounds) {
            // Who goes first changes from round to round.
            let mut sides = ["bare", "ours"];
            if round % 2 == 1 {
                sides.reverse();
            }
            let mut pair: [Option<Measured>; 2] = [None, None];
            for side in sides {
                if side == "bare" && !row.bare {
                    continue;
                }
                let program = if noise { "bare" } else { side };
                match measure(program, row, &servers) {
                    Ok(measured) => pair[usize::from(side == "ours")] = Some(measured),
                    Err(error) => println!("{:<20} {side}: {error}", row.name),
                }
            }
            pairs.push(pair);
        }
        print_row(row, &pairs);
    }
    Ok(())
}

/// Prints the medians of each side, and of the ratios of the rounds with their range.
fn print_row(row: &Row, pairs: &[[Option<Measured>; 2]]) {
    for (index, metric) in row.metrics.iter().enumerate() {
        let value = |side: &Option<Measured>| side.as_ref()?.get(metric.key).copied();
        let bare = median(pairs.iter().filter_map(|pair| value(&pair[0])).collect());
        let ours = median(pairs.iter().filter_map(|pair| value(&pair[1])).collect());
        let ratios: Vec<f64> = pairs
            .iter()
            .filter_map(|pair| Some(value(&pair[1])? / value(&pair[0])?))
            .filter(|ratio| ratio.is_finite())
            .collect();
        let lowest = ratios.iter().copied().reduce(f64::min);
        let highest = ratios.iter().copied().reduce(f64::max);
        let ratio = median(ratios);
        let verdict = match ours.and_then(|ours| metric.target.met(ours, ratio)) {
            Some(true) => " met",
            Some(false) => " MISSED",
            None => "",
        };
        let range = match (lowest, highest) {
            (Some(lowest), Some(highest)) => format!("{lowest:.2}..{highest:.2}"),
            _ => String::new(),
        };
        println!(
            "{:<20} {:<24} {:>10} {:>10} {:>7} {:>13}  {}{verdict}",
            if index == 0 { row.name.as_str() } else { "" },
            metric.label,
            number(bare),
            number(ours),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            range,
            metric.target.text(),
        );
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
