//! Child processes: none outlives the harness, none runs past its time limit.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much of a program's output a failure shows: its end.
const SHOWN_OUTPUT: usize = 64 * 1024;
/// How long a program that got SIGABRT may take to print its stacks.
const ABORT_GRACE: Duration = Duration::from_secs(10);

/// No core files; as many descriptors as the system allows, for tests with thousands of tasks.
pub fn prepare_limits() {
    // SAFETY: plain system calls on a local struct.
    unsafe {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &limit);
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Puts the child into a process group of its own and has it killed when the thread that starts
/// it ends, as it does when the harness is killed.
pub fn bind_to_this_thread(command: &mut Command) -> &mut Command {
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        )
    }
}

/// Kills the child's process group and reaps the child.
pub fn kill_group(child: &mut Child) {
    signal_group(child, libc::SIGKILL);
    child.wait().ok();
}

pub fn signal_group(child: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call. Once the child is reaped, the group exists only if the child left
    // processes behind in it.
    unsafe { libc::kill(-(child.id() as libc::pid_t), signal) };
}

/// Runs a tool such as a compiler; its standard output, or a message that says what it printed.
pub fn tool(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", shown(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{}\n{}{}{}",
        shown(command),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status,
    ))
}

/// The command line, for a person.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a test program with a time limit. An error holds what it printed and how it ended.
pub fn run_limited(command: &mut Command, limit: Duration, output: &Path) -> Result<(), String> {
    let file = File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let second = file.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    let mut child = bind_to_this_thread(command)
        .spawn()
        .map_err(|error| format!("{}: {error}", shown(command)))?;

    let mut stacks = String::new();
    let mut status = wait(&mut child, limit);
    let in_time = status.is_some();
    if !in_time {
        stacks = all_stacks(child.id());
        signal_group(&child, libc::SIGABRT);
        status = wait(&mut child, ABORT_GRACE);
    }
    if status.is_none() {
        kill_group(&mut child);
    }
    // Ends what the program started and left behind.
    signal_group(&child, libc::SIGKILL);
    match status {
        Some(status) if in_time && status.success() => {
            fs::remove_file(output).ok();
            Ok(())
        }
        _ => Err(format!(
            "{}\n{}{stacks}{}",
            shown(command),
            end_of(output),
            describe(status, in_time, limit),
        )),
    }
}

/// How the child ended; nothing when it has not ended in time.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if start.elapsed() > limit {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn describe(status: Option<ExitStatus>, in_time: bool, limit: Duration) -> String {
    if !in_time {
        return format!("killed: not finished after {} s", limit.as_secs());
    }
    match status {
        Some(status) => match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("exit status {}", status.code().unwrap_or(-1)),
        },
        None => "killed".into(),
    }
}

fn end_of(output: &Path) -> String {
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN_OUTPUT)..]);
    if text.is_empty() || text.ends_with('\n') {
        text.into_owned()
    } else {
        format!("{text}\n")
    }
}

/// The stacks of every thread, where gdb is installed.
fn all_stacks(process: u32) -> String {
    let output = Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-ex",
            "thread apply all backtrace 25",
            "-p",
        ])
        .arg(process.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}
