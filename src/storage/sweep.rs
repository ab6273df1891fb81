//! Removes what downloads of processes that died have left behind.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::partial_file::{CONFIRMED, names, stem_of};
use crate::foundation::process::PerProcess;
use crate::foundation::sync::Lock;

/// How long a file is kept for somebody who may come back for it.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sweeps a directory, once a process.
pub fn sweep_once(directory: &Path) {
    static SWEPT: PerProcess<Mutex<HashSet<PathBuf>>> = PerProcess::new();
    let first = SWEPT
        .get_or(Mutex::default)
        .locked()
        .insert(directory.to_owned());
    if first {
        sweep(directory);
    }
}

fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| stem_of(name).is_some()) {
            remove_if_left(&entry.path());
        }
    }
}

/// Removes a file that nobody is at work with, and that nobody may come back for.
fn remove_if_left(path: &Path) -> Option<()> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let metadata = file.metadata().ok()?;
    let ours = metadata.is_file() && metadata.uid() == nix::unistd::geteuid().as_raw();
    let kept = path.extension().is_some_and(|end| end == &CONFIRMED[1..])
        && metadata.modified().ok()?.elapsed().unwrap_or_default() < KEPT;
    // While it is locked nobody else takes it over, and nobody who made it goes on with it.
    if ours && !kept && file.try_lock().is_ok() && names(path, &file).ok()? {
        fs::remove_file(path).ok()?;
        tracing::info!(target: "storage", path = %path.display(), "removed what a download had left behind");
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::partial_file::PartialFile;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn what_nobody_needs_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let dead = path("nsurlsession-aaaaaaaaaaaaaaaa.download");
        let used = path("nsurlsession-bbbbbbbbbbbbbbbb.download");
        let kept = path("nsurlsession-cccccccccccccccc.partial");
        let old = path("nsurlsession-dddddddddddddddd.partial");
        let other = path("nsurlsession-notes.download");
        for file in [&dead, &used, &kept, &old, &other] {
            fs::write(file, b"x").unwrap();
        }
        let lock = File::open(&used).unwrap();
        lock.try_lock().unwrap();
        let age = SystemTime::now() - KEPT - Duration::from_secs(1);
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(age)
            .unwrap();
        sweep(directory.path());
        let there = [&dead, &used, &kept, &old, &other].map(|file| file.exists());
        assert_eq!(there, [false, true, true, false, true]);
    }

    #[test]
    fn making_files_survives_sweeping() {
        let directory = crate::storage::partial_file::directory();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200 {
                    sweep(directory);
                }
            });
            for _ in 0..200 {
                let file = PartialFile::create().unwrap();
                assert!(file.path().exists());
            }
        });
    }
}
