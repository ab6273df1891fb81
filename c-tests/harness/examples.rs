//! The example programs: built as their makefile builds them, under AddressSanitizer and with every
//! warning an error, and run as their users run them.

use crate::paths::Paths;
use crate::process::{bind_to_this_thread, kill_group, signal_group, tool, wait};
use crate::www::pattern;
use libtest_mimic::{Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use serde_json::Value;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const CFLAGS: &str = "CFLAGS=-g -O1 -Werror -fsanitize=address,undefined -fno-sanitize-recover=all";
const MIB: usize = 1024 * 1024;

/// The examples' own directory, the servers' addresses.
struct Examples {
    paths: Arc<Paths>,
    environment: Vec<(String, String)>,
    built: OnceLock<Result<PathBuf, String>>,
}

type Test = fn(&Place) -> Result<(), String>;

const TESTS: &[(&str, Test)] = &[
    ("fetch", fetch),
    ("stream", stream),
    ("poll_loop", poll_loop),
    ("glib_executor", glib_executor),
    ("nsurl_downloads", nsurl_downloads),
    (
        "nsurl_takes_the_suggested_name",
        nsurl_takes_the_suggested_name,
    ),
    ("nsurl_says_what_failed", nsurl_says_what_failed),
    ("nsurl_sends", nsurl_sends),
    (
        "nsurl_continues_what_was_interrupted",
        nsurl_continues_what_was_interrupted,
    ),
    (
        "nsurl_continues_what_was_killed",
        nsurl_continues_what_was_killed,
    ),
    ("nsurl_draws_the_timing", nsurl_draws_the_timing),
    ("nsurl_writes_an_archive", nsurl_writes_an_archive),
    ("nsurl_refuses_wrong_usage", nsurl_refuses_wrong_usage),
];

pub fn trials(paths: &Arc<Paths>, environment: &[(String, String)]) -> Vec<Trial> {
    let examples = Arc::new(Examples {
        paths: Arc::clone(paths),
        environment: environment.to_vec(),
        built: OnceLock::new(),
    });
    let trial = |&(name, test): &(&'static str, Test)| {
        let examples = Arc::clone(&examples);
        Trial::test(format!("examples::{name}"), move || {
            let place = Place::new(&examples, name)?;
            test(&place).map_err(Failed::from)?;
            fs::remove_dir_all(&place.directory).ok();
            Ok(())
        })
    };
    TESTS.iter().map(trial).collect()
}

impl Examples {
    /// Where the programs are. The first who asks builds them, from a copy: a user's own programs
    /// in examples-c stay as they are.
    fn built(&self) -> Result<&Path, String> {
        let built = self.built.get_or_init(|| {
            let (from, to) = (
                self.paths.root.join("examples-c"),
                self.paths.run.join("examples-c"),
            );
            let copy = || {
                fs::create_dir_all(&to)?;
                for entry in fs::read_dir(&from)? {
                    let path = entry?.path();
                    let name = path.file_name().unwrap_or_default();
                    if name == "Makefile"
                        || path.extension().is_some_and(|end| end == "c" || end == "h")
                    {
                        fs::copy(&path, to.join(name))?;
                    }
                }
                symlink(self.paths.include(), self.paths.run.join("include"))
            };
            copy().map_err(|error| error.to_string())?;
            let library = format!("LIBDIR={}", self.paths.library_directory.display());
            tool(
                Command::new("make")
                    .arg("-C")
                    .arg(&to)
                    .arg(library)
                    .arg(CFLAGS),
            )?;
            Ok(to)
        });
        built.as_deref().map_err(Clone::clone)
    }
}

/// A directory to run the examples in.
struct Place<'a> {
    examples: &'a Examples,
    programs: &'a Path,
    directory: PathBuf,
}

/// What a program printed, and how it ended.
struct Ran {
    status: ExitStatus,
    out: String,
    err: String,
}

impl<'a> Place<'a> {
    fn new(examples: &'a Examples, name: &str) -> Result<Self, String> {
        let directory = examples.paths.run.join("examples").join(name);
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        Ok(Place {
            examples,
            programs: examples.built()?,
            directory,
        })
    }

    /// A URL of one of the servers: the variable that names it, the path.
    fn url(&self, variable: &str, path: &str) -> String {
        let named = self
            .examples
            .environment
            .iter()
            .find(|(name, _)| name == variable);
        format!("{}{path}", named.map_or("", |(_, value)| value))
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Result<Child, String> {
        let file =
            |name| File::create(self.directory.join(name)).map_err(|error| error.to_string());
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        command.env_clear();
        command.envs(
            self.examples
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", &self.directory);
        bind_to_this_thread(&mut command)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))
    }

    fn end(&self, mut child: Child) -> Result<Ran, String> {
        let status = wait(&mut child, LIMIT);
        kill_group(&mut child);
        let text = |name| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let (out, err) = (text("stdout"), text("stderr"));
        let status = status.ok_or_else(|| format!("not finished in time\n{out}{err}"))?;
        Ok(Ran { status, out, err })
    }

    /// Runs a program that is to end with this exit status.
    fn run(&self, program: &str, arguments: &[&str], code: i32) -> Result<Ran, String> {
        let ran = self.end(self.start(program, arguments)?)?;
        ran.ended_with(code)?;
        Ok(ran)
    }

    fn check_file(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let found =
            fs::read(self.directory.join(name)).map_err(|error| format!("{name}: {error}"))?;
        check(found == content, || {
            format!("{name}: {} other bytes", found.len())
        })
    }

    /// The names of the files that are there now, but for what the programs printed.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("std")).collect();
        names.sort();
        names
    }
}

impl Ran {
    fn ended_with(&self, code: i32) -> Result<(), String> {
        check(self.status.code() == Some(code), || {
            format!("{}, expected {code}\n{}{}", self.status, self.out, self.err)
        })
    }

    fn printed(&self, text: &str) -> Result<(), String> {
        check(self.out.contains(text), || {
            format!("no {text:?} in:\n{}", self.out)
        })
    }

    fn complained(&self, text: &str) -> Result<(), String> {
        check(self.err.contains(text), || {
            format!("no {text:?} in:\n{}", self.err)
        })
    }
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The text that a server answers with.
fn get(url: &str) -> Result<String, String> {
    let load = || {
        let mut text = Vec::new();
        let mut easy = curl::easy::Easy::new();
        easy.url(url)?;
        let mut transfer = easy.transfer();
        transfer.write_function(|bytes| {
            text.extend_from_slice(bytes);
            Ok(bytes.len())
        })?;
        transfer.perform()?;
        drop(transfer);
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    load().map_err(|error: curl::Error| format!("{url}: {error}"))
}

// ---- The small ones -----------------------------------------------------------------------------

fn fetch(place: &Place) -> Result<(), String> {
    let ran = place.run("fetch", &[&place.url("TLS_H2_URL", "/hello.txt")], 0)?;
    ran.printed("200 ")?;
    ran.printed("Content-Type: text/plain")?;
    ran.printed("14")?;
    place
        .run("fetch", &[&place.url("TLS_EXPIRED_URL", "/")], 1)
        .map(drop)
}

fn stream(place: &Place) -> Result<(), String> {
    let ran = place.run("stream", &[&place.url("HTTP_URL", "/64k.bin")], 0)?;
    ran.printed("65536")
}

fn poll_loop(place: &Place) -> Result<(), String> {
    let (one, other) = (
        place.url("HTTP_URL", "/hello.txt"),
        place.url("TLS_H2_URL", "/1m.bin"),
    );
    let ran = place.run("poll_loop", &[&one, &other], 0)?;
    ran.printed(&format!("{one}: 200, 14 bytes\n"))?;
    ran.printed(&format!("{other}: 200, 1048576 bytes\n"))
}

fn glib_executor(place: &Place) -> Result<(), String> {
    let (one, other) = (
        place.url("HTTP_URL", "/hello.txt"),
        place.url("TLS_H2_URL", "/1m.bin"),
    );
    let ran = place.run("glib_executor", &[&one, &other], 0)?;
    ran.printed(&one)?;
    ran.printed(&other)
}

// ---- nsurl --------------------------------------------------------------------------------------

fn nsurl_downloads(place: &Place) -> Result<(), String> {
    let (plain, secure) = (
        place.url("HTTP_URL", "/16m.bin"),
        place.url("TLS_H2_URL", "/1m.bin"),
    );
    let ran = place.run(
        "nsurl",
        &["-o", "plain", "-o", "secure", &plain, &secure],
        0,
    )?;
    ran.printed("plain: 16777216 bytes, status 200\n")?;
    ran.printed("secure: 1048576 bytes, status 200\n")?;
    place.check_file("plain", &pattern(16 * MIB))?;
    place.check_file("secure", &pattern(MIB))?;
    check(place.files() == ["plain", "secure"], || {
        format!("{:?}", place.files())
    })
}

fn nsurl_takes_the_suggested_name(place: &Place) -> Result<(), String> {
    let url = place.url("HTTP_URL", "/hello.txt?x=1");
    place.run("nsurl", &[&url], 0)?;
    place.check_file("hello.txt", b"Hello, world!\n")
}

fn nsurl_says_what_failed(place: &Place) -> Result<(), String> {
    let missing = place.url("HTTP_URL", "/missing");
    let expired = place.url("TLS_EXPIRED_URL", "/");
    let good = place.url("HTTP_URL", "/hello.txt");
    let ran = place.run(
        "nsurl",
        &["-o", "a", "-o", "b", "-o", "c", &missing, &expired, &good],
        1,
    )?;
    ran.complained(&format!("nsurl: {missing}: status 404\n"))?;
    ran.complained(&format!("nsurl: {expired}: "))?;
    place.check_file("c", b"Hello, world!\n")
}

fn nsurl_sends(place: &Place) -> Result<(), String> {
    fs::write(place.directory.join("file"), pattern(3 * MIB)).map_err(|error| error.to_string())?;
    let stored = place.url("HTTP_URL", "/uploads/nsurl_sends.bin");
    place.run("nsurl", &["-T", "file", &stored], 0)?;
    place.run("nsurl", &["-o", "back", &stored], 0)?;
    place.check_file("back", &pattern(3 * MIB))?;

    let echo = place.url("TLS_H2_URL", "/echo");
    place.run(
        "nsurl",
        &["-d", "a=1", "-H", "X-Test: given", "-o", "echo", &echo],
        0,
    )?;
    let text = fs::read_to_string(place.directory.join("echo")).unwrap_or_default();
    for line in [
        "request POST /echo HTTP/2.0\n",
        "content-length 3\n",
        "x-test given\n",
    ] {
        check(text.contains(line), || format!("no {line:?} in:\n{text}"))?;
    }
    let echo = place.url("FAULT_URL", "/echo");
    place.run(
        "nsurl",
        &[
            "-X",
            "PATCH",
            "-d",
            "@file",
            "-H",
            "X-Test: given",
            "-o",
            "echo",
            &echo,
        ],
        0,
    )?;
    let text = fs::read(place.directory.join("echo")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(4096)]).into_owned();
    for part in ["PATCH /echo", "X-Test: given"] {
        check(text.contains(part), || format!("no {part:?} in:\n{text}"))?;
    }
    Ok(())
}

fn nsurl_continues_what_was_interrupted(place: &Place) -> Result<(), String> {
    continues_after(place, libc::SIGINT)
}

fn nsurl_continues_what_was_killed(place: &Place) -> Result<(), String> {
    continues_after(place, libc::SIGKILL)
}

/// The server sends half of the file. The signal comes when what is needed to go on is kept.
fn continues_after(place: &Place, signal: libc::c_int) -> Result<(), String> {
    let name = format!("nsurl-{signal}");
    let path = format!(
        "/range?size={}&name={name}&hold={name}&after={MIB}&etag=%22one%22",
        2 * MIB
    );
    let url = place.url("FAULT_URL", &path);
    // What is kept is written beside its place and renamed.
    let renames = Renames::into(&place.directory)?;
    let child = place.start("nsurl", &["-C", "-o", "file", &url])?;
    let came = renames.wait();
    signal_group(&child, signal);
    let ran = place.end(child)?;
    came?;
    match signal {
        libc::SIGKILL => check(ran.status.signal() == Some(signal), || {
            ran.status.to_string()
        })?,
        _ => ran.ended_with(130)?,
    }
    check(!place.directory.join("file").exists(), || {
        "it was complete".into()
    })?;

    place.run("nsurl", &["-C", "-o", "file", &url], 0)?;
    place.check_file("file", &pattern(2 * MIB))?;
    check(place.files() == ["file"], || format!("{:?}", place.files()))?;
    let log = get(&place.url("FAULT_URL", &format!("/range-log?name={name}")))?;
    let ranges: Vec<_> = log
        .lines()
        .filter(|line| line.contains("range [bytes="))
        .collect();
    check(
        log.lines().count() == 2 && ranges.len() == 1 && !log.contains("[bytes=0-"),
        || log.clone(),
    )?;
    get(&place.url("FAULT_URL", &format!("/release?name={name}"))).map(drop)
}

/// A watch for files that are renamed into a directory.
struct Renames(OwnedFd);

impl Renames {
    fn into(directory: &Path) -> Result<Renames, String> {
        let watch = || {
            let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
            inotify::add_watch(&watch, directory, inotify::WatchFlags::MOVED_TO)?;
            Ok(Renames(watch))
        };
        watch().map_err(|error: rustix::io::Errno| error.to_string())
    }

    /// Waits for the first one.
    fn wait(&self) -> Result<(), String> {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: LIMIT.as_secs() as i64,
            tv_nsec: 0,
        };
        match poll(&mut polled, Some(&limit)) {
            Ok(1) => Ok(()),
            other => Err(format!("no file came: {other:?}")),
        }
    }
}

fn nsurl_draws_the_timing(place: &Place) -> Result<(), String> {
    let url = place.url("TLS_H2_URL", "/1m.bin");
    let ran = place.run("nsurl", &["--timing", "-o", "file", &url], 0)?;
    ran.complained(&format!("GET {url}\n  h2 200, "))?;
    for phase in ["look up name", "connect", "TLS", "send", "wait", "receive"] {
        let row = ran
            .err
            .lines()
            .find(|line| line.trim_start().starts_with(phase));
        check(
            row.is_some_and(|row| row.contains(" ms |") && row.ends_with('|')),
            || format!("no row {phase:?} in:\n{}", ran.err),
        )?;
    }
    ran.complained("  in all ")
}

fn nsurl_writes_an_archive(place: &Place) -> Result<(), String> {
    let fault = place.url(
        "FAULT_URL",
        "/redirect?code=302&to=%2Fencoded%3Fcoding%3Dgzip%26size%3D65536",
    );
    let secure = place.url("TLS_H2_URL", "/echo?a=1&b=x%20y");
    place.run(
        "nsurl",
        &["--har", "archive", "-H", "X-Quote: \"\\", "-o", "a", &fault],
        0,
    )?;
    let archive = read_archive(place)?;
    let entries = archive["log"]["entries"].as_array().ok_or("no entries")?;
    check(entries.len() == 2, || archive.to_string())?;
    check_entry(&entries[0], &fault, 302, "HTTP/1.1")?;
    let to = place.url("FAULT_URL", "/encoded?coding=gzip&size=65536");
    check_entry(&entries[1], &to, 200, "HTTP/1.1")?;
    let content = &entries[1]["response"]["content"]["size"];
    let body = &entries[1]["response"]["bodySize"];
    check(
        content == 65536 && body.as_i64().is_some_and(|size| size > 0 && size < 65536),
        || entries[1].to_string(),
    )?;
    let fields = entries[0]["request"]["headers"]
        .as_array()
        .ok_or("no header fields")?;
    check(
        fields
            .iter()
            .any(|field| field["name"] == "X-Quote" && field["value"] == "\"\\"),
        || entries[0].to_string(),
    )?;

    place.run("nsurl", &["--har", "archive", "-o", "a", &secure], 0)?;
    let archive = read_archive(place)?;
    let entry = &archive["log"]["entries"][0];
    check_entry(entry, &secure, 200, "HTTP/2")?;
    check(
        entry["timings"]["ssl"]
            .as_f64()
            .is_some_and(|time| time > 0.0),
        || entry.to_string(),
    )?;
    let query = serde_json::json!([{"name": "a", "value": "1"}, {"name": "b", "value": "x%20y"}]);
    check(entry["request"]["queryString"] == query, || {
        entry.to_string()
    })
}

fn read_archive(place: &Place) -> Result<Value, String> {
    let bytes = fs::read(place.directory.join("archive")).map_err(|error| error.to_string())?;
    let archive: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    check(archive["log"]["version"] == "1.2", || archive.to_string())?;
    check(archive["log"]["creator"]["name"] == "nsurl", || {
        archive.to_string()
    })?;
    Ok(archive)
}

/// All that HTTP Archive 1.2 demands of an entry.
fn check_entry(entry: &Value, url: &str, status: i64, version: &str) -> Result<(), String> {
    let (request, response, timings) = (&entry["request"], &entry["response"], &entry["timings"]);
    let holds = [
        entry["startedDateTime"]
            .as_str()
            .is_some_and(|date| date.len() == 24 && date.ends_with('Z')),
        entry["time"].as_f64().is_some_and(|time| time > 0.0),
        entry["cache"].is_object(),
        request["method"] == "GET",
        request["url"] == url,
        request["httpVersion"] == version,
        request["cookies"].is_array() && request["headers"].is_array(),
        request["queryString"].is_array(),
        request["headersSize"].is_i64() && request["bodySize"] == 0,
        response["status"] == status,
        response["statusText"].is_string(),
        response["httpVersion"] == version,
        response["cookies"].is_array() && response["headers"].is_array(),
        response["content"]["mimeType"].is_string() && response["content"]["size"].is_i64(),
        response["redirectURL"].is_string(),
        response["headersSize"].is_i64() && response["bodySize"].is_i64(),
        ["send", "wait", "receive"]
            .iter()
            .all(|&name| timings[name].as_f64() >= Some(0.0)),
        ["blocked", "dns", "connect", "ssl"]
            .iter()
            .all(|&name| timings[name].is_f64()),
    ];
    match holds.iter().position(|holds| !holds) {
        None => Ok(()),
        Some(row) => Err(format!("row {row} does not hold: {entry:#}")),
    }
}

fn nsurl_refuses_wrong_usage(place: &Place) -> Result<(), String> {
    let url = place.url("HTTP_URL", "/hello.txt");
    for arguments in [
        &[][..],
        &["-o"],
        &["--what", &url],
        &["-d", "x", "-T", "y", &url],
        &["-H", "x", &url],
    ] {
        place
            .run("nsurl", arguments, 2)?
            .complained("usage: nsurl")?;
    }
    let ran = place.run("nsurl", &["-T", "missing", &url], 1)?;
    ran.complained("nsurl: missing: No such file or directory\n")
}
