//! What the shared object exports, needs and runs when it is loaded.
//!
//! `UPDATE_SYMBOLS=1` rewrites support/symbols.txt.

use crate::paths::Paths;
use crate::process::tool;
use libtest_mimic::{Failed, Trial};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The only libraries that the shared object may need: everything else is inside.
const NEEDED: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-", // with the machine's name after it
];

/// Parts of the names of the only functions that may run while the library is being loaded: the
/// compiler's, the Rust library's that saves the program's arguments, and those that ask the
/// processor what it can do.
const AT_LOAD: [&str; 5] = [
    "frame_dummy",
    "ARGV_INIT_ARRAY",
    "OPENSSL_cpuid_setup",
    "init_cpu_features",
    "__cpu_indicator_init",
];

pub fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    type Check = fn(&Paths) -> Result<(), String>;
    let checks: [(&str, Check); 3] = [
        ("exports::symbols", symbols),
        ("exports::dynamic_section", dynamic_section),
        ("exports::nothing_runs_at_load", nothing_runs_at_load),
    ];
    checks
        .into_iter()
        .map(|(name, check)| {
            let paths = Arc::clone(paths);
            Trial::test(name, move || check(&paths).map_err(Failed::from))
        })
        .collect()
}

/// Writes the list of symbols anew, before anything reads it.
pub fn update(paths: &Paths) -> Result<(), String> {
    let names = exported(&paths.shared_object)?;
    fs::write(symbol_file(paths), symbol_text(&names)).map_err(|error| error.to_string())
}

fn symbol_file(paths: &Paths) -> PathBuf {
    paths.support().join("symbols.txt")
}

fn symbol_text(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// The names that the shared object defines for others.
pub fn exported(shared_object: &Path) -> Result<BTreeSet<String>, String> {
    let listed = tool(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(shared_object),
    )?;
    Ok(listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(Into::into)
        .collect())
}

fn symbols(paths: &Paths) -> Result<(), String> {
    let names = exported(&paths.shared_object)?;
    let foreign: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("nsurlsession_"))
        .collect();
    if !foreign.is_empty() {
        return Err(format!("exported, but not ours: {foreign:?}"));
    }

    let file = symbol_file(paths);
    let recorded = fs::read_to_string(&file)
        .map_err(|error| format!("{}: {error}; UPDATE_SYMBOLS=1 writes it", file.display()))?;
    if recorded == symbol_text(&names) {
        return Ok(());
    }
    let recorded: BTreeSet<String> = recorded.lines().map(Into::into).collect();
    Err(format!(
        "the exports differ from {} (UPDATE_SYMBOLS=1 rewrites it)\nnew: {:?}\nmissing: {:?}",
        file.display(),
        names.difference(&recorded).collect::<Vec<_>>(),
        recorded.difference(&names).collect::<Vec<_>>(),
    ))
}

fn dynamic_section(paths: &Paths) -> Result<(), String> {
    let section = tool(
        Command::new("readelf")
            .args(["-dW"])
            .arg(&paths.shared_object),
    )?;
    let values = |tag: &str| -> Vec<String> {
        let tag = format!("({tag})");
        section
            .lines()
            .filter(|line| line.contains(&tag))
            .map(|line| {
                line.rsplit(['[', ':'])
                    .next()
                    .unwrap_or("")
                    .trim_end_matches(']')
                    .into()
            })
            .collect()
    };

    let names = values("SONAME");
    if names != ["libnsurlsession.so.1"] {
        return Err(format!("SONAME is {names:?}, not libnsurlsession.so.1"));
    }
    let flags = values("FLAGS_1");
    if !flags
        .iter()
        .any(|flags| flags.split_whitespace().any(|flag| flag == "NODELETE"))
    {
        return Err(format!("FLAGS_1 is {flags:?} and lacks NODELETE"));
    }
    if section.contains("TEXTREL") {
        return Err("the shared object has text relocations".into());
    }
    let allowed = |library: &String| {
        NEEDED.iter().any(|name| match name.strip_suffix('-') {
            Some(_) => library.starts_with(name),
            None => library == name,
        })
    };
    let foreign: Vec<_> = values("NEEDED")
        .into_iter()
        .filter(|library| !allowed(library))
        .collect();
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(format!("needs {foreign:?}"))
    }
}

/// libcurl and OpenSSL are initialised by the first call, never under the loader's lock. Also
/// checks that the symbol by which the curl crate does it otherwise is not there at all.
fn nothing_runs_at_load(paths: &Paths) -> Result<(), String> {
    let library = &paths.shared_object;
    let functions = symbols_by_address(library)?;
    if functions
        .values()
        .flatten()
        .any(|name| name.contains("INIT_CTOR"))
    {
        return Err("the curl crate's load-time constructor INIT_CTOR is linked in".into());
    }

    let sections = tool(Command::new("readelf").args(["-SW"]).arg(library))?;
    let Some((start, size)) = section_extent(&sections, ".init_array") else {
        return Ok(());
    };
    let relocations = tool(Command::new("readelf").args(["-rW"]).arg(library))?;
    let mut found = 0;
    for line in relocations.lines() {
        let Some((offset, target)) = relative_relocation(line) else {
            continue;
        };
        if !(start..start + size).contains(&offset) {
            continue;
        }
        found += 1;
        let names = functions.get(&target).cloned().unwrap_or_default();
        if !names
            .iter()
            .any(|name| AT_LOAD.iter().any(|allowed| name.contains(allowed)))
        {
            return Err(format!(
                "{target:#x} runs when the library is loaded: {names:?}"
            ));
        }
    }
    // An entry of eight bytes each: all must have been seen.
    if found != size / 8 {
        return Err(format!(
            ".init_array has {} entries, {found} were found",
            size / 8
        ));
    }
    Ok(())
}

fn symbols_by_address(library: &Path) -> Result<BTreeMap<u64, Vec<String>>, String> {
    let listed = tool(Command::new("nm").args(["--defined-only"]).arg(library))?;
    let mut map = BTreeMap::<u64, Vec<String>>::new();
    for line in listed.lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            map.entry(address).or_default().push(name.to_owned());
        }
    }
    if map.is_empty() {
        return Err("the shared object has no symbol table: was it stripped?".into());
    }
    Ok(map)
}

/// Address and size, out of lines such as `[18] .init_array INIT_ARRAY 000f0 0e0 010 08 ...`.
fn section_extent(sections: &str, name: &str) -> Option<(u64, u64)> {
    let line = sections
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == name))?;
    let mut words = line
        .split_whitespace()
        .skip_while(|word| *word != name)
        .skip(2);
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let size = u64::from_str_radix(words.nth(1)?, 16).ok()?;
    Some((address, size))
}

/// Offset and addend, out of lines such as `000f0  00008 R_X86_64_RELATIVE  1a40`.
fn relative_relocation(line: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [offset, _, kind, addend] = words[..] else {
        return None;
    };
    if !kind.ends_with("_RELATIVE") && !kind.ends_with("_RELATIV") {
        return None;
    }
    Some((
        u64::from_str_radix(offset, 16).ok()?,
        u64::from_str_radix(addend, 16).ok()?,
    ))
}
