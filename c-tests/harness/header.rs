//! The public header: that it says what the Rust sources say, and that compilers take it as it is.
//!
//! The functions in nsurlsession.h come from `src/ffi` through cbindgen. What cbindgen cannot do is
//! done here, on its output: a heading for each file, nullability, line breaks.
//! `UPDATE_HEADER=1` rewrites the header.

use crate::compile::cc;
use crate::exports::exported;
use crate::paths::Paths;
use crate::process::tool;
use libtest_mimic::{Failed, Trial};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const NULLABLE: &str = "NSURLSESSION_NULLABLE";
const LINE_LENGTH: usize = 100;
/// What belongs into rustdoc and not into a C comment.
const RUST_ONLY: [&str; 5] = ["# Safety", "# Panics", "[`", "```", "crate::"];

/// The modules of `src/ffi` that the header begins with; the others follow in the order of their
/// `mod` lines.
const ORDER: [&str; 20] = [
    "object",
    "configuration",
    "session",
    "task",
    "upload_task",
    "download_task",
    "request",
    "response",
    "progress",
    "metrics",
    "stream",
    "date_interval",
    "url",
    "error",
    "queue",
    "data",
    "string",
    "array",
    "dictionary",
    "library",
];

/// Compilers and languages that must take every header without a warning.
const MATRIX: [(&str, &str, &[&str]); 14] = [
    ("gcc", "c", &["-std=c99"]),
    ("gcc", "c", &["-std=c11"]),
    ("gcc", "c", &["-std=c2x"]),
    ("gcc", "c++", &["-std=c++11"]),
    ("gcc", "c++", &["-std=c++17"]),
    ("gcc", "c++", &["-std=c++20"]),
    ("gcc", "objective-c", &[]),
    ("clang", "c", &["-std=c99"]),
    ("clang", "c", &["-std=c11"]),
    ("clang", "c", &["-std=c2x"]),
    ("clang", "c++", &["-std=c++11"]),
    ("clang", "c++", &["-std=c++17"]),
    ("clang", "c++", &["-std=c++20"]),
    ("clang", "objective-c", &[]),
];

pub fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    type Check = fn(&Paths) -> Result<(), String>;
    let checks: [(&str, Check); 4] = [
        ("header::is_up_to_date", is_up_to_date),
        ("header::comments", comments),
        ("header::declares_the_exports", declares_the_exports),
        ("header::layout", layout),
    ];
    let mut trials: Vec<Trial> = checks
        .into_iter()
        .map(|(name, check)| {
            let paths = Arc::clone(paths);
            Trial::test(name, move || check(&paths).map_err(Failed::from))
        })
        .collect();
    trials.extend(MATRIX.into_iter().map(|(compiler, language, flags)| {
        let paths = Arc::clone(paths);
        let standard = flags
            .first()
            .map_or(language, |flag| flag.trim_start_matches("-std="));
        Trial::test(format!("header::{compiler}_{standard}"), move || {
            compiles(&paths, compiler, language, flags).map_err(Failed::from)
        })
    }));
    trials
}

/// Writes the header anew, before anything reads it.
pub fn update(paths: &Paths) -> Result<(), String> {
    fs::write(header_file(paths), generate(paths)?).map_err(|error| error.to_string())
}

fn header_file(paths: &Paths) -> PathBuf {
    paths.include().join("nsurlsession/nsurlsession.h")
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_up_to_date(paths: &Paths) -> Result<(), String> {
    let file = header_file(paths);
    let generated = generate(paths)?;
    let present = read(&file)?;
    if present == generated {
        return Ok(());
    }
    let different = present
        .lines()
        .zip(generated.lines())
        .position(|(present, generated)| present != generated)
        .unwrap_or_else(|| present.lines().count().min(generated.lines().count()));
    Err(format!(
        "{} differs from src/ffi (UPDATE_HEADER=1 rewrites it)\nline {}\n      is {:?}\nexpected {:?}",
        file.display(),
        different + 1,
        present.lines().nth(different).unwrap_or("the end"),
        generated.lines().nth(different).unwrap_or("the end"),
    ))
}

/// Every function has a comment, written for a reader of C.
fn comments(paths: &Paths) -> Result<(), String> {
    let text = read(&header_file(paths))?;
    let mut faults = Vec::new();
    let mut previous = "";
    let mut inside_comment = false;
    for (index, line) in text.lines().enumerate() {
        inside_comment |= line.starts_with("/*");
        if inside_comment && let Some(word) = RUST_ONLY.iter().find(|word| line.contains(**word)) {
            faults.push(format!("line {}: {word:?} in a C comment", index + 1));
        }
        if inside_comment && line.chars().count() > LINE_LENGTH {
            faults.push(format!(
                "line {}: longer than {LINE_LENGTH} columns",
                index + 1
            ));
        }
        let starts_declaration = !inside_comment
            && line.starts_with(|first: char| first.is_ascii_alphabetic())
            && !line.starts_with("extern \"C\"");
        let goes_on = previous.starts_with("NSURLSESSION_DEPRECATED");
        if starts_declaration && !previous.ends_with("*/") && !goes_on {
            faults.push(format!("line {}: no comment above {line:?}", index + 1));
        }
        inside_comment &= !line.contains("*/");
        previous = line;
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

/// The header declares what the shared object exports, no more and no less.
fn declares_the_exports(paths: &Paths) -> Result<(), String> {
    let declared = declared_functions(&read(&header_file(paths))?);
    let exported = exported(&paths.shared_object)?;
    if declared == exported {
        return Ok(());
    }
    Err(format!(
        "declared and not exported: {:?}\nexported and not declared: {:?}",
        declared.difference(&exported).collect::<Vec<_>>(),
        exported.difference(&declared).collect::<Vec<_>>(),
    ))
}

fn declared_functions(header: &str) -> BTreeSet<String> {
    header
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic()))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("nsurlsession_"))
        .map(Into::into)
        .collect()
}

/// C and Rust agree on every layout and constant.
fn layout(paths: &Paths) -> Result<(), String> {
    let assertions = nsurlsession::ffi::layout::assertions();
    if !assertions.contains("tatic_assert(") {
        return Err("nsurlsession::ffi::layout::assertions() asserts nothing".into());
    }
    let source = paths.run.join("layout.c");
    let text = format!("#include <nsurlsession/nsurlsession.h>\n{assertions}");
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let mut command = cc();
    command.args([
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "-I",
    ]);
    tool(command.arg(paths.include()).arg(&source)).map(drop)
}

/// Each header by itself, and twice.
fn compiles(paths: &Paths, compiler: &str, language: &str, flags: &[&str]) -> Result<(), String> {
    for header in ["nsurlsession.h", "nsurlsession_base.h"] {
        let name = format!("{compiler}-{language}{}-{header}.txt", flags.concat());
        let source = paths.run.join(name);
        let include = format!("#include <nsurlsession/{header}>\n");
        let text = format!("{include}{include}int translation_unit(void);\n");
        fs::write(&source, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(compiler);
        command.args(["-x", language]).args(flags);
        command.args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Wundef",
            "-Werror",
            "-fsyntax-only",
        ]);
        if language != "c++" {
            command.arg("-Wstrict-prototypes");
        }
        tool(command.arg("-I").arg(paths.include()).arg(&source))?;
    }
    Ok(())
}

// ---- Generation -------------------------------------------------------------------------------

/// nsurlsession.h as it must be.
fn generate(paths: &Paths) -> Result<String, String> {
    let config = cbindgen::Config::from_file(paths.root.join("cbindgen.toml"))?;
    let modules = modules(&paths.root.join("src/ffi"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in &modules {
        builder = builder.with_src(&module.file);
    }
    let bindings = builder
        .generate()
        .map_err(|error| format!("cbindgen: {error}"))?;
    let mut output = Vec::new();
    bindings.write(&mut output);
    let output = String::from_utf8(output).map_err(|error| error.to_string())?;
    let base = read(&paths.include().join("nsurlsession/nsurlsession_base.h"))?;
    finish(&output, &modules, &callback_types(&base))
}

/// A file of `src/ffi`.
struct Module {
    file: PathBuf,
    /// The first line of its `//!` comment.
    title: String,
    text: String,
}

/// The modules in the order of the header.
fn modules(directory: &Path) -> Result<Vec<Module>, String> {
    let mut modules = Vec::new();
    for line in read(&directory.join("mod.rs"))?.lines() {
        let Some(name) = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ")
            .trim_start_matches("pub ")
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        else {
            continue;
        };
        let file = directory.join(name).with_extension("rs");
        let text = read(&file)?;
        let title = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "))
            .unwrap_or(name)
            .trim_end_matches('.')
            .replace('`', "");
        let position = ORDER
            .iter()
            .position(|first| *first == name)
            .unwrap_or(ORDER.len());
        modules.push((position, Module { file, title, text }));
    }
    modules.sort_by_key(|(position, _)| *position);
    Ok(modules.into_iter().map(|(_, module)| module).collect())
}

/// The names of nsurlsession_base.h that are pointers to functions.
fn callback_types(base: &str) -> BTreeSet<String> {
    base.lines()
        .filter(|line| line.starts_with("typedef "))
        .filter_map(|line| line.split_once("(*")?.1.split_once(')'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// cbindgen's output, with headings, nullability, and lines of at most 100 columns. Each
/// declaration comes on one line with its comment above it; the other lines are the frame.
fn finish(
    output: &str,
    modules: &[Module],
    callbacks: &BTreeSet<String>,
) -> Result<String, String> {
    let titles = titles(modules)?;
    let mut text = String::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut inside_comment = false;
    let mut last_title = "";
    for line in output.lines() {
        if inside_comment || line == "/**" {
            comment.push(line);
            inside_comment = line != " */";
        } else if let Some(declaration) = line.strip_suffix(';') {
            let name = function_name(declaration)?;
            let title = titles
                .get(name)
                .ok_or_else(|| format!("{name} is in no src/ffi module"))?;
            if *title != last_title {
                last_title = title;
                text.push_str(&heading(title));
            }
            text.push_str(&short_comment(&comment));
            text.push_str(&format_declaration(declaration, callbacks));
            comment.clear();
        } else {
            text.push_str(&frame_line(line));
        }
    }
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    Ok(text)
}

/// The heading that each function stands under.
fn titles(modules: &[Module]) -> Result<BTreeMap<&str, &str>, String> {
    let mut titles = BTreeMap::new();
    for module in modules {
        for line in module.text.lines() {
            let Some((_, rest)) = line.split_once("extern \"C\" fn ") else {
                continue;
            };
            let name = rest.split(['(', '<']).next().unwrap_or(rest);
            if titles.insert(name, module.title.as_str()).is_some() {
                return Err(format!("{name} is defined twice"));
            }
        }
    }
    Ok(titles)
}

fn heading(title: &str) -> String {
    let start = format!("/* ---- {title} ");
    let dashes = LINE_LENGTH.saturating_sub(start.chars().count() + 3).max(4);
    format!("\n{start}{} */\n\n", "-".repeat(dashes))
}

/// The comment, on one line if it fits.
fn short_comment(lines: &[&str]) -> String {
    if let ["/**", line, " */"] = lines
        && let Some(words) = line.strip_prefix(" * ")
        && words.chars().count() + "/**  */".len() <= LINE_LENGTH
    {
        return format!("/** {words} */\n");
    }
    lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// A line outside the declarations; the pragmas around them are those of nsurlsession_base.h.
fn frame_line(line: &str) -> String {
    match line {
        "#include \"nsurlsession_base.h\"" => format!(
            "{line}\n\n#if defined(__clang__)\n#pragma clang diagnostic push\n\
             #pragma clang diagnostic ignored \"-Wnullability-extension\"\n#endif\n"
        ),
        "#endif  /* NSURLSESSION_H */" => {
            format!("#if defined(__clang__)\n#pragma clang diagnostic pop\n#endif\n\n{line}\n")
        }
        "#endif // __cplusplus" | "#endif  // __cplusplus" => "#endif\n".into(),
        "}  // extern \"C\"" => "}\n".into(),
        _ => format!("{line}\n"),
    }
}

fn function_name(declaration: &str) -> Result<&str, String> {
    let (_, declaration) = split_attribute(declaration);
    declaration
        .split_once('(')
        .and_then(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("nsurlsession_"))
        .ok_or_else(|| format!("not a function of ours: {declaration}"))
}

/// `NSURLSESSION_DEPRECATED("...")`, and the declaration after it.
fn split_attribute(declaration: &str) -> (Option<&str>, &str) {
    if declaration.starts_with("NSURLSESSION_DEPRECATED(")
        && let Some(end) = declaration.find("\") ")
    {
        return (Some(&declaration[..end + 2]), &declaration[end + 3..]);
    }
    (None, declaration)
}

/// Marks every pointer as nullable and breaks the line between parameters.
fn format_declaration(declaration: &str, callbacks: &BTreeSet<String>) -> String {
    let (attribute, declaration) = split_attribute(declaration);
    let mut text = attribute.map_or(String::new(), |attribute| format!("{attribute}\n"));
    let (start, rest) = declaration.split_once('(').unwrap_or((declaration, ")"));
    let parameters: Vec<String> = split_parameters(rest.strip_suffix(')').unwrap_or(rest))
        .into_iter()
        .map(|parameter| annotate_callback(&annotate(parameter), callbacks))
        .collect();
    let start = annotate_callback(&annotate(start), callbacks);

    let line = format!("{start}({});", parameters.join(", "));
    if line.chars().count() <= LINE_LENGTH {
        return format!("{text}{line}\n");
    }
    text.push_str(&format!("{start}(\n"));
    let mut line = String::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let end = if index + 1 == parameters.len() {
            ");"
        } else {
            ","
        };
        let piece = format!("{parameter}{end}");
        if line.is_empty() {
            line = format!("    {piece}");
        } else if line.chars().count() + 1 + piece.chars().count() <= LINE_LENGTH {
            line.push_str(&format!(" {piece}"));
        } else {
            text.push_str(&format!("{line}\n"));
            line = format!("    {piece}");
        }
    }
    text.push_str(&format!("{line}\n"));
    text
}

/// Commas inside a parameter that is a function pointer do not separate parameters.
fn split_parameters(text: &str) -> Vec<&str> {
    let mut parameters = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parameters.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parameters.push(text[start..].trim());
    parameters
}

/// `T *name` becomes `T *NSURLSESSION_NULLABLE name`, at every level of pointers.
fn annotate(text: &str) -> String {
    let mut annotated = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('*') {
        annotated.push_str(&format!("{before}*{NULLABLE}"));
        if !after.is_empty() && !after.starts_with([' ', ')']) {
            annotated.push(' ');
        }
        rest = after;
    }
    annotated + rest
}

/// A parameter, or a function, whose type is one of nsurlsession_base.h's pointers to functions.
fn annotate_callback(parameter: &str, callbacks: &BTreeSet<String>) -> String {
    match parameter.split_once(' ') {
        Some((kind, name)) if callbacks.contains(kind) => format!("{kind} {NULLABLE} {name}"),
        _ => parameter.to_owned(),
    }
}
