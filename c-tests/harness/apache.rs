//! Apache httpd as a second real server, with a configuration of our own, as one process that ends
//! with the harness.

use crate::certificates::Certificates;
use crate::listening::{free_port, wait_until_listening};
use crate::process::{bind_to_this_thread, kill_group};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How often to try again when another process took a port in between.
const ATTEMPTS: u32 = 5;
/// Where distributions have the program, and where its modules.
const PROGRAMS: [&str; 2] = ["/usr/sbin/apache2", "/usr/sbin/httpd"];
const MODULES: [&str; 4] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/libexec/apache2",
];

pub struct Apache {
    child: Child,
    plain: u16,
    secure: u16,
}

impl Apache {
    pub fn start(
        directory: &Path,
        www: &Path,
        certificates: &Certificates,
    ) -> Result<Apache, String> {
        let mut last_error = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(directory, www, certificates) {
                Ok(apache) => return Ok(apache),
                Err(error) => last_error = error,
            }
        }
        Err(format!("Apache httpd: {last_error}"))
    }

    fn try_start(
        directory: &Path,
        www: &Path,
        certificates: &Certificates,
    ) -> Result<Apache, String> {
        let program = existing(&PROGRAMS)?;
        let modules = existing(&MODULES)?;
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let (plain, first) = free_port(false).map_err(|error| error.to_string())?;
        let (secure, second) = free_port(false).map_err(|error| error.to_string())?;
        let configuration = directory.join("httpd.conf");
        let text = configuration_text(directory, www, &modules, plain, secure, certificates);
        fs::write(&configuration, text).map_err(|error| error.to_string())?;
        // It cannot bind what is held here.
        drop((first, second));

        let output = File::create(directory.join("output")).map_err(|error| error.to_string())?;
        // -X: one process, in the foreground.
        let child = bind_to_this_thread(&mut Command::new(program))
            .arg("-X")
            .arg("-f")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut apache = Apache {
            child,
            plain,
            secure,
        };
        wait_until_listening(&mut apache.child, &[plain, secure]).map_err(|error| {
            let read = |name| fs::read_to_string(directory.join(name)).unwrap_or_default();
            format!("{error}\n{}{}", read("output"), read("error.log"))
        })?;
        Ok(apache)
    }

    /// What the tests find in their environment: base URLs without a slash at the end.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            (
                "APACHE_URL".into(),
                format!("http://127.0.0.1:{}", self.plain),
            ),
            (
                "APACHE_TLS_URL".into(),
                format!("https://localhost:{}", self.secure),
            ),
        ]
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

fn existing(candidates: &[&str]) -> Result<PathBuf, String> {
    candidates
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| format!("none of {} exists", candidates.join(", ")))
}

fn configuration_text(
    directory: &Path,
    www: &Path,
    modules: &Path,
    plain: u16,
    secure: u16,
    certificates: &Certificates,
) -> String {
    let certificate = certificates.good.certificate.display();
    let key = certificates.good.key.display();
    let directory = directory.display();
    let www = www.display();
    let mut text = format!("ServerRoot {directory}\nDefaultRuntimeDir {directory}\n");
    // Those that distributions link into the program have no file.
    for module in [
        "mpm_event",
        "unixd",
        "log_config",
        "authz_core",
        "mime",
        "dir",
        "alias",
        "env",
        "headers",
        "filter",
        "deflate",
        "ratelimit",
        "socache_shmcb",
        "ssl",
        "http2",
    ] {
        let file = modules.join(format!("mod_{module}.so"));
        if file.exists() {
            let _ = writeln!(text, "LoadModule {module}_module {}", file.display());
        }
    }
    let _ = write!(
        text,
        r##"
ServerName localhost
# What root becomes. The number of nobody.
User "#65534"
Group "#65534"
PidFile {directory}/httpd.pid
ErrorLog {directory}/error.log
LogLevel warn
Mutex pthread
ThreadsPerChild 64
MaxRequestWorkers 64
Timeout 600
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
EnableSendfile On
TypesConfig /dev/null
AddType text/html html
AddType text/plain txt
AddType application/json json
AddType application/octet-stream bin
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{secure}
DocumentRoot {www}
<Directory {www}>
    Require all granted
    AllowOverride None
    Options None
</Directory>
DirectoryIndex index.html
# The files compressed, with another ETag than they have uncompressed.
Alias /gzip/ {www}/
<Location /gzip/>
    SetOutputFilter DEFLATE
</Location>
# 256 KiB a second.
Alias /slow/ {www}/
<Location /slow/>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 256
</Location>
# Without one of the validators, or both, or byte ranges.
Alias /no-etag/ {www}/
<Location /no-etag/>
    FileETag None
</Location>
Alias /no-date/ {www}/
<Location /no-date/>
    Header unset Last-Modified
</Location>
Alias /no-ranges/ {www}/
<Location /no-ranges/>
    MaxRanges none
</Location>
<VirtualHost 127.0.0.1:{plain}>
</VirtualHost>
<VirtualHost 127.0.0.1:{secure}>
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    <IfModule http2_module>
        Protocols h2 http/1.1
    </IfModule>
</VirtualHost>
"##
    );
    text
}
