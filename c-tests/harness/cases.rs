//! One trial for each test of each program in c-tests/cases, and for each way to run it.

use crate::compile::{self, Build};
use crate::paths::Paths;
use crate::process::{run_limited, tool};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// A measurement holds it alone, every other test shares it.
static MACHINE: RwLock<()> = RwLock::new(());

/// How a test is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Asan,
    Memcheck,
    Plain,
}

impl Runner {
    fn name(self) -> &'static str {
        match self {
            Runner::Asan => "asan",
            Runner::Memcheck => "memcheck",
            Runner::Plain => "plain",
        }
    }

    fn build(self) -> Build {
        match self {
            Runner::Asan => Build::Sanitized,
            Runner::Memcheck | Runner::Plain => Build::Plain,
        }
    }

    /// How much longer tests wait for what must happen.
    fn time_factor(self) -> u32 {
        match self {
            Runner::Memcheck => 5,
            Runner::Asan | Runner::Plain => 1,
        }
    }
}

/// What support/test.h calls TEST_KIND_*: the runners, and the time limit of each.
fn runs_of(kind: &str) -> Result<&'static [(Runner, Duration)], String> {
    const SHORT: Duration = Duration::from_secs(60);
    const UNDER_VALGRIND: Duration = Duration::from_secs(180);
    const LONG: Duration = Duration::from_secs(300);
    match kind {
        "normal" => Ok(&[(Runner::Asan, SHORT), (Runner::Memcheck, UNDER_VALGRIND)]),
        "heavy" => Ok(&[(Runner::Asan, LONG)]),
        "measure" => Ok(&[(Runner::Plain, LONG)]),
        _ => Err(format!("unknown kind of test: {kind}")),
    }
}

/// A program of c-tests/cases, built both ways.
struct Program {
    sanitized: PathBuf,
    plain: PathBuf,
    /// (kind, name) of each test.
    tests: Vec<(String, String)>,
}

pub fn trials(paths: &Arc<Paths>, environment: Vec<(String, String)>) -> Vec<Trial> {
    let sources = match compile::sources(&paths.c_tests().join("cases")) {
        Ok(sources) if !sources.is_empty() => sources,
        Ok(_) => return vec![failing("compile::cases", "c-tests/cases is empty".into())],
        Err(error) => return vec![failing("compile::cases", error)],
    };
    let environment = Arc::new(environment);
    let mut trials = Vec::new();
    for (source, program) in build_all(paths, sources) {
        let stem = compile::file_stem(&source);
        match program {
            Ok(program) => trials.extend(program_trials(paths, &environment, &stem, &program)),
            Err(error) => trials.push(failing(&format!("compile::{stem}"), error)),
        }
    }
    trials
}

fn failing(name: &str, error: String) -> Trial {
    Trial::test(name, move || Err(Failed::from(error)))
}

fn program_trials(
    paths: &Arc<Paths>,
    environment: &Arc<Vec<(String, String)>>,
    stem: &str,
    program: &Program,
) -> Vec<Trial> {
    if program.tests.is_empty() {
        return vec![failing(
            &format!("compile::{stem}"),
            "it has no tests".into(),
        )];
    }
    let mut trials = Vec::new();
    for (kind, test) in &program.tests {
        let runs = match runs_of(kind) {
            Ok(runs) => runs,
            Err(error) => return vec![failing(&format!("compile::{stem}"), error)],
        };
        for &(runner, limit) in runs {
            let name = format!("{}::{stem}::{test}", runner.name());
            let executable = match runner.build() {
                Build::Sanitized => program.sanitized.clone(),
                Build::Plain => program.plain.clone(),
            };
            let (paths, environment, test) =
                (Arc::clone(paths), Arc::clone(environment), test.clone());
            let directory = paths.run.join("tests").join(name.replace("::", "-"));
            trials.push(Trial::test(name, move || {
                run(
                    &paths,
                    runner,
                    limit,
                    &executable,
                    &test,
                    &directory,
                    &environment,
                )
                .map_err(Failed::from)
            }));
        }
    }
    trials
}

fn run(
    paths: &Paths,
    runner: Runner,
    limit: Duration,
    executable: &Path,
    test: &str,
    directory: &Path,
    environment: &[(String, String)],
) -> Result<(), String> {
    fs::create_dir_all(directory.join("tmp")).map_err(|error| error.to_string())?;
    fs::create_dir_all(directory.join("home")).map_err(|error| error.to_string())?;

    let mut command = match runner {
        Runner::Asan | Runner::Plain => Command::new(executable),
        Runner::Memcheck => {
            let mut command = Command::new("valgrind");
            command.args([
                "-q",
                "--error-exitcode=99",
                "--leak-check=full",
                "--show-leak-kinds=definite,indirect",
                "--errors-for-leak-kinds=definite,indirect",
                "--fair-sched=yes",
                "--num-callers=40",
                "--child-silent-after-fork=yes",
                "--gen-suppressions=all",
            ]);
            let suppressions = paths.support().join("valgrind.supp");
            command.arg(format!("--suppressions={}", suppressions.display()));
            command.arg(executable);
            command
        }
    };
    command.arg(test).current_dir(directory);

    // Nothing of the caller's environment: a proxy or a CA bundle there would change the result.
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name == "PATH" || name.starts_with("NSURLSESSION_")
    }));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.env("LANG", "C.UTF-8");
    command.env("HOME", directory.join("home"));
    command.env("TMPDIR", directory.join("tmp"));
    command.env("TEST_RUNNER", runner.name());
    command.env("TEST_TIME_FACTOR", runner.time_factor().to_string());
    command.env("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1");
    let more = std::env::var("ASAN_OPTIONS").unwrap_or_default();
    command.env(
        "ASAN_OPTIONS",
        format!("detect_leaks=1:handle_abort=1:detect_stack_use_after_return=1:{more}"),
    );

    let output = directory.join("output");
    let result = if runner == Runner::Plain {
        let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        run_limited(&mut command, limit, &output)
    } else {
        let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        run_limited(&mut command, limit, &output)
    };
    if result.is_ok() {
        fs::remove_dir_all(directory).ok();
    }
    result
}

/// Builds every program both ways, as many at a time as there are processors.
fn build_all(paths: &Paths, sources: Vec<PathBuf>) -> Vec<(PathBuf, Result<Program, String>)> {
    let support = Build::ALL.map(|build| compile::support_objects(paths, build));
    let [sanitized, plain] = match support {
        [Ok(sanitized), Ok(plain)] => [sanitized, plain],
        [Err(error), _] | [_, Err(error)] => {
            return vec![(PathBuf::from("support"), Err(error))];
        }
    };

    let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
    let results = Mutex::new(Vec::new());
    let remaining = Mutex::new(sources);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(source) = lock(&remaining).pop() else {
                        return;
                    };
                    let program = build(paths, &source, &sanitized, &plain);
                    lock(&results).push((source, program));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by(|left, right| left.0.cmp(&right.0));
    results
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn build(
    paths: &Paths,
    source: &Path,
    sanitized_support: &[PathBuf],
    plain_support: &[PathBuf],
) -> Result<Program, String> {
    let sanitized = compile::program(paths, Build::Sanitized, source, sanitized_support)?;
    let plain = compile::program(paths, Build::Plain, source, plain_support)?;
    let listed = tool(Command::new(&plain).arg("--list"))?;
    let tests = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(kind, name)| (kind.to_owned(), name.to_owned()))
        .collect();
    Ok(Program {
        sanitized,
        plain,
        tests,
    })
}
