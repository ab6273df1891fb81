//! Programs that are not tests: one linked with the static library, and the README's.

use crate::compile::{cc, link_shared};
use crate::paths::Paths;
use crate::process::tool;
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// What a program needs besides the static library, as the README and the .pc file say.
const NATIVE_LIBRARIES: [&str; 7] = [
    "-lgcc_s",
    "-lutil",
    "-lrt",
    "-lpthread",
    "-lm",
    "-ldl",
    "-lc",
];

const STATIC_PROGRAM: &str = r#"#include <nsurlsession/nsurlsession.h>

int main(void)
{
    return nsurlsession_version() == NSURLSESSION_VERSION_NUMBER ? 0 : 1;
}
"#;

pub fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = vec![{
        let paths = Arc::clone(paths);
        Trial::test("linking::static_library", move || {
            static_library(&paths).map_err(Failed::from)
        })
    }];
    for (number, (line, code)) in readme_programs(&paths.root).into_iter().enumerate() {
        let paths = Arc::clone(paths);
        let stem = format!("readme-{}", number + 1);
        trials.push(Trial::test(
            format!("linking::readme_line_{line}"),
            move || {
                let source = write_source(&paths, &stem, &code)?;
                shared_library(&paths, &source, &stem).map_err(Failed::from)
            },
        ));
    }
    trials
}

fn static_library(paths: &Paths) -> Result<(), String> {
    let source = write_source(paths, "static", STATIC_PROGRAM)?;
    let program = source.with_extension("");
    let mut command = cc();
    command
        .arg("-std=c11")
        .arg("-I")
        .arg(paths.include())
        .arg(&source);
    command
        .arg(&paths.static_library)
        .args(NATIVE_LIBRARIES)
        .arg("-o")
        .arg(&program);
    tool(&mut command)?;
    tool(&mut Command::new(&program)).map(drop)
}

/// Compiles and links a program the way a user does, with every warning an error.
fn shared_library(paths: &Paths, source: &Path, name: &str) -> Result<(), String> {
    let mut command = cc();
    command.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    command.arg("-I").arg(paths.include()).arg(source);
    command.arg("-o").arg(paths.run.join(name));
    link_shared(&mut command, paths);
    tool(&mut command).map(drop)
}

fn write_source(paths: &Paths, name: &str, code: &str) -> Result<PathBuf, String> {
    let source = paths.run.join(name).with_extension("c");
    fs::write(&source, code).map_err(|error| format!("{}: {error}", source.display()))?;
    Ok(source)
}

/// The README's C blocks that are whole programs, with the number of their first line.
fn readme_programs(root: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(root.join("README.md")).unwrap_or_default();
    let mut programs = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```c" => block = Some((index + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => {
                programs.extend(block.take().filter(|(_, code)| code.contains("int main(")));
            }
            Some((_, code)) => {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    programs
}
