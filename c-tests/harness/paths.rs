//! Where things are: the repository, the library under test, this run's directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub struct Paths {
    /// The repository.
    pub root: PathBuf,
    /// This run's directory: certificates, files to serve, programs, logs.
    pub run: PathBuf,
    /// The library under test, as cargo built it.
    pub shared_object: PathBuf,
    pub static_library: PathBuf,
    /// Holds the shared object under its link-time name and its SONAME.
    pub library_directory: PathBuf,
}

impl Paths {
    pub fn prepare() -> Result<Paths, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("c-tests has a parent");
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_stale_runs(temporary);
        let run = temporary.join(format!("run-{}", std::process::id()));
        let library_directory = run.join("lib");
        fs::create_dir_all(&library_directory)
            .map_err(|error| format!("{}: {error}", library_directory.display()))?;

        let built = Path::new(env!("CARGO_BIN_EXE_fault-server"))
            .parent()
            .expect("a directory");
        let shared_object = newest(built, "libnsurlsession.so")?;
        let static_library = newest(built, "libnsurlsession.a")?;
        for name in ["libnsurlsession.so", "libnsurlsession.so.1"] {
            symlink(&shared_object, library_directory.join(name))
                .map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Paths {
            root: root.to_path_buf(),
            run,
            shared_object,
            static_library,
            library_directory,
        })
    }

    pub fn c_tests(&self) -> PathBuf {
        self.root.join("c-tests")
    }

    pub fn support(&self) -> PathBuf {
        self.c_tests().join("support")
    }

    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    pub fn remove_run(&self) {
        fs::remove_dir_all(&self.run).ok();
    }
}

/// `cargo build` leaves the library in the profile's directory; a build for a dependent leaves it
/// in `deps` alone. The newer one is that of the present sources.
fn newest(built: &Path, name: &str) -> Result<PathBuf, String> {
    [built.join(name), built.join("deps").join(name)]
        .into_iter()
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| {
            format!(
                "{} lacks {name}: run cargo build --release -p nsurlsession",
                built.display()
            )
        })
}

/// Removes what runs left behind that failed or were killed.
fn remove_stale_runs(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix("run-")) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}
