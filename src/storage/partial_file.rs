//! The file that a download is written to, and what is left of it when the download is not finished.
//!
//! A file that a process is at work with is locked. Its name ends in `.download` as long as nobody
//! may come back for it: when its process dies it is swept away. Once resume data were given away it
//! ends in `.partial` and stays.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use super::sweep;
use crate::foundation::error::{Failure, POSIX_DOMAIN};
use crate::foundation::error_code;
use crate::foundation::process::{self, PerProcess};

pub(super) const PREFIX: &str = "nsurlsession-";
/// Of a file that nobody may come back for.
pub(super) const UNCONFIRMED: &str = ".download";
/// Of a file that resume data name.
pub(super) const CONFIRMED: &str = ".partial";
/// Random letters in a name.
const LETTERS: usize = 16;
/// How often a new file is tried for before the directory is given up.
const ATTEMPTS: usize = 8;
/// The first part of a file is read in pieces of this size to see whether it is as it was.
const PIECE: usize = 1 << 20;

/// The directory for temporary files: what TMPDIR names, or /tmp. Looked up once, because another
/// thread of the program may be changing the environment.
pub fn directory() -> &'static Path {
    static DIRECTORY: PerProcess<PathBuf> = PerProcess::new();
    DIRECTORY.get_or(|| {
        let directory = std::env::temp_dir();
        if directory.is_absolute() {
            directory
        } else {
            PathBuf::from("/tmp")
        }
    })
}

/// An error with a file, as one of NSURLErrorDomain.
pub fn failure(code: i64, what: &str, path: &Path, error: &io::Error) -> Failure {
    let detail = format!("{what} “{}”: {error}", path.display());
    let failure = Failure::new(code).detail(detail);
    match error.raw_os_error() {
        Some(number) => failure.underlying(POSIX_DOMAIN, i64::from(number), error.to_string()),
        None => failure,
    }
}

pub struct PartialFile {
    file: File,
    /// The path without the end of the name, which changes.
    stem: PathBuf,
    confirmed: bool,
    /// How often its state was told to somebody who may come back for it.
    told: u32,
    length: u64,
    hash: Box<Xxh3>,
    /// The process that it was opened in.
    generation: u32,
}

/// Whether a path names this file, and no other one that has come in its place.
pub(super) fn names(path: &Path, file: &File) -> io::Result<bool> {
    let (there, this) = (fs::symlink_metadata(path)?, file.metadata()?);
    Ok(there.dev() == this.dev() && there.ino() == this.ino() && this.nlink() == 1)
}

/// How long the end of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Locks a file. False when somebody else has locked it.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The same, with some patience: a process that was killed a moment ago may not be quite gone.
fn lock_patiently(file: &File) -> io::Result<bool> {
    let end = Instant::now() + PATIENCE;
    loop {
        if lock(file)? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(PATIENCE / 40);
    }
}

/// Where the file that `PartialFile::name` spoke of may be, without the end of its name: where it
/// was, and in the temporary directory of today. Only files that this module makes are looked for.
fn places(name: &str) -> Option<impl Iterator<Item = PathBuf>> {
    let path = Path::new(name);
    let stem = stem_of(path.file_name()?.to_str()?)?;
    let plain = |directory: &&Path| {
        directory.is_absolute() && !directory.components().any(|c| c == Component::ParentDir)
    };
    let recorded = path.parent().filter(plain);
    let directories = recorded.into_iter().chain([directory()]);
    Some(directories.map(move |directory| directory.join(stem)))
}

/// The name without its end, if it is one that this module gives.
pub(super) fn stem_of(name: &str) -> Option<&str> {
    let stem = name
        .strip_suffix(UNCONFIRMED)
        .or_else(|| name.strip_suffix(CONFIRMED))?;
    let letters = stem.strip_prefix(PREFIX)?;
    let known =
        letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric());
    known.then_some(stem)
}

impl PartialFile {
    /// Makes an empty file in the temporary directory, which is tidied up before that.
    pub fn create() -> Result<PartialFile, Failure> {
        let directory = directory();
        sweep::sweep_once(directory);
        let failed = |error: &io::Error| {
            let code = error_code::CANNOT_CREATE_FILE;
            failure(
                code,
                "There can be no file for the download in",
                directory,
                error,
            )
        };
        for _ in 0..ATTEMPTS {
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .suffix(UNCONFIRMED)
                .rand_bytes(LETTERS)
                .make_in(directory, |path| {
                    let mut options = OpenOptions::new();
                    options
                        .read(true)
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(path)
                })
                .and_then(|file| Ok(file.keep()?));
            let (file, path) = made.map_err(|error| failed(&error))?;
            let locked = lock(&file).map_err(|error| {
                // Not on this file system: the next would fare no better.
                let _ = fs::remove_file(&path);
                failed(&error)
            })?;
            // Somebody who sweeps may have come between the making and the locking.
            if locked && names(&path, &file).unwrap_or(false) {
                return Ok(PartialFile {
                    file,
                    stem: path.with_extension(""),
                    confirmed: false,
                    told: 0,
                    length: 0,
                    hash: Box::new(Xxh3::new()),
                    generation: process::generation(),
                });
            }
        }
        Err(failed(&io::ErrorKind::AlreadyExists.into()))
    }

    /// Takes over the file of that name from a download that is over. `None` when it is not there
    /// any more, is in use, or does not begin with `received` bytes of that digest.
    pub fn adopt(name: &str, received: u64, digest: u64) -> Option<PartialFile> {
        let ends = [CONFIRMED, UNCONFIRMED];
        let mut paths =
            places(name)?.flat_map(|stem| ends.map(|end| stem.with_extension(&end[1..])));
        let (path, file) = paths.find_map(|path| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)
                .ok()?;
            Some((path, file))
        })?;
        let metadata = file.metadata().ok()?;
        let ours = metadata.is_file() && metadata.uid() == nix::unistd::geteuid().as_raw();
        if !ours || !lock_patiently(&file).ok()? || !names(&path, &file).ok()? {
            return None;
        }
        let mut partial = PartialFile {
            file,
            confirmed: path.extension().is_some_and(|end| end == &CONFIRMED[1..]),
            stem: path.with_extension(""),
            told: 0,
            length: 0,
            hash: Box::new(Xxh3::new()),
            generation: process::generation(),
        };
        if partial.read_first(received).ok()? && partial.hash.digest() == digest {
            partial.file.set_len(received).ok()?;
            return Some(partial);
        }
        partial.withdraw();
        None
    }

    /// What was told of the file holds no longer: nobody may come back for it.
    fn withdraw(&mut self) {
        self.told = 0;
        if self.confirmed {
            let before = self.path();
            self.confirmed = false;
            let _ = fs::rename(before, self.path());
        }
    }

    /// Reads the first bytes for the digest. False when there are not that many.
    fn read_first(&mut self, received: u64) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        let mut source = (&self.file).take(received);
        loop {
            let count = source.read(&mut piece)?;
            if count == 0 {
                return Ok(self.length == received);
            }
            self.hash.update(&piece[..count]);
            self.length += count as u64;
        }
    }

    pub fn path(&self) -> PathBuf {
        let end = if self.confirmed {
            CONFIRMED
        } else {
            UNCONFIRMED
        };
        self.stem.with_extension(&end[1..])
    }

    /// What `adopt` finds the file by: its path. A directory that is no text is not found by it, but
    /// the name in it is.
    pub fn name(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    /// How many bytes were written, from the file's beginning on.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A digest of those bytes.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }

    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file
            .write_all_at(bytes, self.length)
            .map_err(|error| {
                let code = error_code::CANNOT_WRITE_TO_FILE;
                failure(
                    code,
                    "The download cannot be written to",
                    &self.path(),
                    &error,
                )
            })?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Empties the file. Until it is told of again, it does not stay.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|error| {
            let code = error_code::CANNOT_WRITE_TO_FILE;
            failure(
                code,
                "The download cannot be started anew in",
                &self.path(),
                &error,
            )
        })?;
        self.hash.reset();
        self.length = 0;
        self.withdraw();
        Ok(())
    }

    /// Notes that somebody was told how far the file has come while it goes on. Who asks again has
    /// kept what he was told before: from then on the file stays.
    pub fn tell(&mut self) {
        self.told += 1;
        if self.told > 1 {
            self.confirm();
        }
    }

    /// Whether somebody may come back for the file.
    pub fn is_told_of(&self) -> bool {
        self.confirmed || self.told > 0
    }

    /// Lets the file stay when this process lets go of it. False when it is not there any more.
    pub fn confirm(&mut self) -> bool {
        if !names(&self.path(), &self.file).unwrap_or(false) {
            return false;
        }
        if !self.confirmed {
            let before = self.path();
            self.confirmed = true;
            if fs::rename(before, self.path()).is_err() {
                self.confirmed = false;
            }
        }
        self.confirmed
    }

    /// The file is complete.
    pub fn finish(self) -> Result<FinishedFile, Failure> {
        // Some file systems tell only here that they could not write.
        let closed = self
            .file
            .try_clone()
            .and_then(|file| Ok(nix::unistd::close(file)?));
        closed.map_err(|error| {
            let code = error_code::CANNOT_CLOSE_FILE;
            failure(
                code,
                "The download could not be written to",
                &self.path(),
                &error,
            )
        })?;
        let path = self.path();
        Ok(FinishedFile { file: self, path })
    }

    /// Lets the file go for good, though somebody may come back for it.
    pub fn discard(mut self) {
        self.remove();
        self.confirmed = false;
    }

    /// A forked child leaves its parent's files alone.
    fn is_ours(&self) -> bool {
        self.generation == process::generation()
    }

    fn remove(&self) {
        let path = self.path();
        if self.is_ours() && names(&path, &self.file).unwrap_or(false) {
            let _ = fs::remove_file(&path);
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.confirmed {
            self.remove();
        }
        if self.is_ours() {
            // Closing is not enough: a forked child keeps the file open, and with it the lock.
            let _ = self.file.unlock();
        }
    }
}

/// A complete download. Its file is removed with this, unless it was moved away.
pub struct FinishedFile {
    file: PartialFile,
    path: PathBuf,
}

impl FinishedFile {
    /// The file's URL.
    pub fn url(&self) -> CString {
        let url = url::Url::from_file_path(&self.path);
        url.ok()
            .and_then(|url| CString::new(url.as_str()).ok())
            .unwrap_or_default()
    }
}

impl Drop for FinishedFile {
    fn drop(&mut self) {
        self.file.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn a_file_is_there_until_it_is_let_go() {
        let mut file = PartialFile::create().unwrap();
        file.append(b"ab").unwrap();
        file.append(b"cd").unwrap();
        assert_eq!((file.length(), file.digest()), (4, xxh3_64(b"abcd")));
        let path = file.path();
        assert_eq!(fs::read(&path).unwrap(), b"abcd");
        let finished = file.finish().unwrap();
        assert_eq!(
            finished.url().to_str().unwrap(),
            format!("file://{}", path.display())
        );
        drop(finished);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_put_in_its_place_is_not_removed() {
        let file = PartialFile::create().unwrap();
        let path = file.path();
        let moved = path.with_extension("moved");
        fs::rename(&path, &moved).unwrap();
        fs::write(&path, b"other").unwrap();
        drop(file.finish().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"other");
        fs::remove_file(path).unwrap();
        fs::remove_file(moved).unwrap();
    }

    /// A file with these bytes that nobody is at work with; its name and digest.
    fn left(bytes: &[u8]) -> (String, u64, PathBuf) {
        let mut file = PartialFile::create().unwrap();
        file.append(bytes).unwrap();
        assert!(file.confirm());
        (file.name(), file.digest(), file.path())
    }

    #[test]
    fn only_an_unaltered_file_is_taken_over() {
        let (name, digest, path) = left(b"abcdef");
        // More than was told of may have been written before the process died.
        fs::write(&path, b"abcdefgh").unwrap();
        let mut file = PartialFile::adopt(&name, 6, digest).unwrap();
        assert!(
            PartialFile::adopt(&name, 6, digest).is_none(),
            "it is in use"
        );
        file.append(b"!").unwrap();
        assert_eq!(file.digest(), xxh3_64(b"abcdef!"));
        assert_eq!(fs::read(&path).unwrap(), b"abcdef!");
        drop(file);
        fs::write(&path, b"abcdeX!").unwrap();
        assert!(PartialFile::adopt(&name, 6, digest).is_none());
        assert!(!path.exists(), "nobody can use it any more");
        let (name, digest, path) = left(b"abcdef");
        assert!(PartialFile::adopt(&name, 7, digest).is_none());
        assert!(!path.exists());
    }

    #[test]
    fn links_and_strange_names_are_not_followed() {
        let (name, digest, path) = left(b"abc");
        let target = path.with_extension("target");
        fs::rename(&path, &target).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(PartialFile::adopt(&name, 3, digest).is_none());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&target, &path).unwrap();
        assert!(PartialFile::adopt(&name, 3, digest).is_none());
        fs::remove_file(&path).unwrap();
        fs::remove_file(&target).unwrap();
        for name in [
            "",
            "x",
            "../../etc/passwd",
            "nsurlsession-/../aaaaaaaaaa.partial",
        ] {
            assert!(PartialFile::adopt(name, 0, 0).is_none());
        }
    }

    #[test]
    fn who_asks_twice_may_come_back() {
        let mut file = PartialFile::create().unwrap();
        file.tell();
        assert!(file.name().ends_with(UNCONFIRMED));
        let (name, path) = (file.name(), file.path());
        file.tell();
        assert!(file.name().ends_with(CONFIRMED) && !path.exists());
        let confirmed = file.path();
        drop(file);
        assert!(confirmed.exists());
        drop(PartialFile::adopt(&name, 0, Xxh3::new().digest()).unwrap());
        assert!(confirmed.exists());
        fs::remove_file(confirmed).unwrap();
    }

    /// What was told of the file before it was emptied is no use to anybody.
    #[test]
    fn an_emptied_file_does_not_stay() {
        let (name, digest, path) = left(b"abcdef");
        let mut file = PartialFile::adopt(&name, 6, digest).unwrap();
        file.restart().unwrap();
        assert!(!path.exists());
        file.append(b"xy").unwrap();
        let path = file.path();
        assert_eq!(fs::read(&path).unwrap(), b"xy");
        file.tell();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_is_found_in_the_directory_it_was_made_in() {
        let (name, digest, path) = left(b"abc");
        let elsewhere = tempfile::tempdir().unwrap();
        let moved = elsewhere.path().join(path.file_name().unwrap());
        fs::rename(&path, &moved).unwrap();
        assert!(PartialFile::adopt(&name, 3, digest).is_none());
        let there = moved.to_str().unwrap();
        let file = PartialFile::adopt(there, 3, digest).unwrap();
        assert_eq!(
            (file.path(), file.name()),
            (moved.clone(), there.to_owned())
        );
        drop(file);
        // A directory that was moved since: the name alone finds the file in the present one.
        fs::rename(&moved, &path).unwrap();
        let file = PartialFile::adopt(there, 3, digest).unwrap();
        assert_eq!(file.path(), path);
        drop(file);
        let around = path.with_file_name("x/..").join(path.file_name().unwrap());
        fs::create_dir(elsewhere.path().join("x")).unwrap();
        fs::rename(&path, &moved).unwrap();
        for strange in [
            around,
            elsewhere
                .path()
                .join("x/..")
                .join(path.file_name().unwrap()),
        ] {
            assert!(PartialFile::adopt(strange.to_str().unwrap(), 3, digest).is_none());
        }
    }

    #[test]
    fn no_locks_is_not_the_same_as_locked() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let (one, other) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        assert!(lock(&one).unwrap());
        assert!(!lock(&other).unwrap());
        drop(one);
        assert!(lock(&other).unwrap());
        // A descriptor that cannot be locked stands for a file system without locks.
        let mut options = OpenOptions::new();
        let unlockable = options.read(true).custom_flags(libc::O_PATH).open(&path);
        let error = lock(&unlockable.unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn a_full_disk_is_told() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut partial = PartialFile {
            file,
            stem: PathBuf::from("/dev/full"),
            confirmed: true,
            told: 0,
            length: 0,
            hash: Box::new(Xxh3::new()),
            generation: process::generation(),
        };
        let failure = partial.append(b"x").unwrap_err();
        assert_eq!(failure.code(), error_code::CANNOT_WRITE_TO_FILE);
    }
}
