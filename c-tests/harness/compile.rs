//! Compiles the C programs.

use crate::paths::Paths;
use crate::process::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WARNINGS: &[&str] = &["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// With AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
    Sanitized,
    /// For valgrind and for measurements.
    Plain,
}

impl Build {
    pub const ALL: [Build; 2] = [Build::Sanitized, Build::Plain];

    pub fn name(self) -> &'static str {
        match self {
            Build::Sanitized => "sanitized",
            Build::Plain => "plain",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Build::Sanitized => &[
                "-g",
                "-O1",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
                "-fno-omit-frame-pointer",
            ],
            Build::Plain => &["-g", "-O1", "-fno-omit-frame-pointer"],
        }
    }
}

/// The C compiler: `CC` or cc.
pub fn cc() -> Command {
    Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()))
}

/// A compiler with the flags that every C test gets.
fn test_compiler(paths: &Paths, build: Build) -> Command {
    let mut command = cc();
    command
        .args(WARNINGS)
        .args(build.flags())
        .args(["-D_GNU_SOURCE", "-pthread"]);
    command
        .arg("-I")
        .arg(paths.include())
        .arg("-I")
        .arg(paths.support());
    command
}

/// The flags that link a program with the shared object under test.
pub fn link_shared(command: &mut Command, paths: &Paths) {
    command
        .arg("-L")
        .arg(&paths.library_directory)
        .arg(format!("-Wl,-rpath,{}", paths.library_directory.display()))
        .args(["-lnsurlsession", "-pthread"]);
}

/// Compiles support/*.c once for each build.
pub fn support_objects(paths: &Paths, build: Build) -> Result<Vec<PathBuf>, String> {
    let directory = paths.run.join(build.name());
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    for source in sources(&paths.support())? {
        let object = directory.join(file_stem(&source)).with_extension("o");
        tool(
            test_compiler(paths, build)
                .arg("-c")
                .arg(&source)
                .arg("-o")
                .arg(&object),
        )?;
        objects.push(object);
    }
    Ok(objects)
}

/// Compiles and links one test program.
pub fn program(
    paths: &Paths,
    build: Build,
    source: &Path,
    support: &[PathBuf],
) -> Result<PathBuf, String> {
    let program = paths.run.join(build.name()).join(file_stem(source));
    let mut command = test_compiler(paths, build);
    command.arg(source).args(support).arg("-o").arg(&program);
    link_shared(&mut command, paths);
    command.args(["-lm", "-ldl"]);
    tool(&mut command)?;
    Ok(program)
}

/// The C files of a directory, sorted.
pub fn sources(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    files.sort();
    Ok(files)
}

pub fn file_stem(path: &Path) -> String {
    path.file_stem()
        .expect("a file's path")
        .to_string_lossy()
        .into_owned()
}
