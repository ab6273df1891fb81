//! The files that nginx and Apache serve.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The content of every .bin file but 1g.bin and 2g.bin: what the fault server's `/body` sends, and
/// `pattern_byte` of support/test.h computes.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Uploads of the PUT method go here.
    fs::create_dir_all(directory.join("uploads"))?;

    let texts: [(&str, &[u8]); 8] = [
        (
            "index.html",
            b"<!DOCTYPE html>\n<title>Index</title>\n<p>It works.</p>\n",
        ),
        ("hello.txt", b"Hello, world!\n"),
        ("data.json", b"{\"answer\": 42, \"text\": \"gr\\u00fcn\"}\n"),
        ("empty.txt", b""),
        ("utf-8.txt", "Grüße, 世界\n".as_bytes()),
        ("latin-1.txt", b"Gr\xfc\xdfe\n"),
        ("naïve café.txt", "é\n".as_bytes()),
        ("日本語.html", "<!DOCTYPE html>\n<p>日本語</p>\n".as_bytes()),
    ];
    for (name, content) in texts {
        fs::write(directory.join(name), content)?;
    }
    for (name, length) in [
        ("1.bin", 1),
        ("1k.bin", KIB),
        ("64k.bin", 64 * KIB),
        ("1m.bin", MIB),
        ("16m.bin", 16 * MIB),
    ] {
        fs::write(directory.join(name), pattern(length))?;
    }
    // Sparse: all zeros, no space on the disk.
    File::create(directory.join("1g.bin"))?.set_len(1024 * MIB as u64)?;
    File::create(directory.join("2g.bin"))?.set_len(2048 * MIB as u64)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            set_old(&path)?;
        }
    }
    Ok(())
}

/// What has just changed has only weak validators, which no range may rest on.
fn set_old(path: &Path) -> io::Result<()> {
    let hour = Duration::from_secs(60 * 60);
    let file = File::options().write(true).open(path)?;
    file.set_modified(SystemTime::now() - hour)
}
