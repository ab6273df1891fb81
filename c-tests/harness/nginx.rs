//! nginx with a configuration of our own, as one process that ends with the harness.

use crate::certificates::{Certificates, Identity};
use crate::listening::{free_port, has_ipv6, wait_until_listening};
use crate::process::{bind_to_this_thread, kill_group};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How often to try again when another process took a port in between.
const ATTEMPTS: u32 = 5;
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
const STATUSES: [u16; 14] = [
    201, 202, 204, 206, 400, 401, 403, 404, 405, 410, 429, 500, 503, 504,
];

/// One listening server of the configuration.
struct Site {
    /// The environment variable that names it to the tests.
    variable: &'static str,
    host: &'static str,
    port: u16,
    tls: Option<Tls>,
}

struct Tls {
    http2: bool,
    certificate: String,
    key: String,
}

pub struct Nginx {
    child: Child,
    sites: Vec<Site>,
    has_ipv6: bool,
    access_log: String,
}

impl Nginx {
    pub fn start(
        directory: &Path,
        www: &Path,
        certificates: &Certificates,
        fault_server: u16,
    ) -> Result<Nginx, String> {
        let mut last_error = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(directory, www, certificates, fault_server) {
                Ok(nginx) => return Ok(nginx),
                Err(error) => last_error = error,
            }
        }
        Err(format!("nginx: {last_error}"))
    }

    fn try_start(
        directory: &Path,
        www: &Path,
        certificates: &Certificates,
        fault_server: u16,
    ) -> Result<Nginx, String> {
        let has_ipv6 = has_ipv6();
        let sites = sites(certificates, has_ipv6).map_err(|error| error.to_string())?;
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let configuration = directory.join("nginx.conf");
        let error_log = directory.join("error.log");
        let access_log = directory.join("access.log");
        let text = configuration_text(directory, www, &sites, has_ipv6, fault_server);
        fs::write(&configuration, text).map_err(|error| error.to_string())?;

        let output = File::create(directory.join("output")).map_err(|error| error.to_string())?;
        let child = bind_to_this_thread(&mut Command::new(program()))
            .arg("-e")
            .arg(&error_log)
            .arg("-p")
            .arg(directory)
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|error| error.to_string())?;
        let access_log = access_log.display().to_string();
        let mut nginx = Nginx {
            child,
            sites,
            has_ipv6,
            access_log,
        };
        let ports: Vec<u16> = nginx.sites.iter().map(|site| site.port).collect();
        wait_until_listening(&mut nginx.child, &ports).map_err(|error| {
            let printed = fs::read_to_string(directory.join("output")).unwrap_or_default();
            format!(
                "{error}\n{printed}{}",
                fs::read_to_string(&error_log).unwrap_or_default()
            )
        })?;
        Ok(nginx)
    }

    /// What the tests find in their environment: base URLs without a slash at the end.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = self
            .sites
            .iter()
            .map(|site| (site.variable.into(), site.url(site.host)))
            .collect();
        let (http, tls) = (&self.sites[0], &self.sites[1]);
        variables.push(("HTTP_LOCALHOST_URL".into(), http.url("localhost")));
        if self.has_ipv6 {
            variables.push(("HTTP6_URL".into(), http.url("[::1]")));
            variables.push(("TLS6_URL".into(), tls.url("[::1]")));
        }
        variables.push(("NGINX".into(), program().into()));
        variables.push(("NGINX_ACCESS_LOG".into(), self.access_log.clone()));
        variables
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

impl Site {
    fn url(&self, host: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// Where a user's PATH may not lead.
fn program() -> &'static str {
    const SYSTEM: &str = "/usr/sbin/nginx";
    if Path::new(SYSTEM).exists() {
        SYSTEM
    } else {
        "nginx"
    }
}

/// The first is the plain one, the second the one with HTTP/2.
fn sites(certificates: &Certificates, has_ipv6: bool) -> io::Result<Vec<Site>> {
    let tls = |identity: &Identity, http2| {
        Some(Tls {
            http2,
            certificate: identity.certificate.display().to_string(),
            key: identity.key.display().to_string(),
        })
    };
    let wanted = [
        ("HTTP_URL", "127.0.0.1", None),
        ("TLS_H2_URL", "localhost", tls(&certificates.good, true)),
        ("TLS_H1_URL", "localhost", tls(&certificates.good, false)),
        (
            "TLS_EXPIRED_URL",
            "localhost",
            tls(&certificates.expired, true),
        ),
        (
            "TLS_NOT_YET_VALID_URL",
            "localhost",
            tls(&certificates.not_yet_valid, true),
        ),
        (
            "TLS_WRONG_HOST_URL",
            "localhost",
            tls(&certificates.wrong_host, true),
        ),
        (
            "TLS_SELF_SIGNED_URL",
            "localhost",
            tls(&certificates.self_signed, true),
        ),
        (
            "TLS_UNKNOWN_ROOT_URL",
            "localhost",
            tls(&certificates.unknown_root, true),
        ),
    ];
    // All the listeners exist at once, so that the ports differ; nginx then gets the numbers.
    let mut listeners = Vec::new();
    let mut sites = Vec::new();
    for (variable, host, tls) in wanted {
        let (port, held) = free_port(has_ipv6)?;
        listeners.push(held);
        sites.push(Site {
            variable,
            host,
            port,
            tls,
        });
    }
    Ok(sites)
}

fn configuration_text(
    directory: &Path,
    www: &Path,
    sites: &[Site],
    has_ipv6: bool,
    fault_server: u16,
) -> String {
    let directory = directory.display();
    let www = www.display();
    let mut text = format!(
        r#"daemon off;
# One process, which ends when the harness ends.
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_rlimit_nofile 20000;
events {{
    worker_connections 12000;
}}
http {{
    types {{
        text/html html;
        text/plain txt;
        application/json json;
        application/octet-stream bin;
    }}
    default_type application/octet-stream;
    log_format test '$connection $connection_requests $server_protocol $request_method $request_uri $status';
    access_log {directory}/access.log test;
    client_body_temp_path {directory}/client-body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    client_header_buffer_size 8k;
    large_client_header_buffers 8 64k;
    http2_max_concurrent_streams 128;
    ssl_session_cache shared:tls:1m;
"#
    );
    let (plain, secure) = (&sites[0], &sites[1]);
    for site in sites {
        let (parameters, tls) = match &site.tls {
            None => ("", String::new()),
            Some(tls) => (
                if tls.http2 { " ssl http2" } else { " ssl" },
                format!(
                    "        ssl_certificate {};\n        ssl_certificate_key {};\n",
                    tls.certificate, tls.key
                ),
            ),
        };
        let port = site.port;
        text.push_str("    server {\n");
        writeln!(
            text,
            "        listen 127.0.0.1:{port}{parameters} backlog=4096;"
        )
        .unwrap();
        if has_ipv6 {
            writeln!(
                text,
                "        listen [::1]:{port}{parameters} backlog=4096;"
            )
            .unwrap();
        }
        text.push_str(&tls);
        writeln!(text, "        root {www};").unwrap();
        text.push_str(&locations(&www.to_string(), plain, secure, fault_server));
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    text
}

/// The same paths on every site.
fn locations(www: &str, plain: &Site, secure: &Site, fault_server: u16) -> String {
    let plain_url = plain.url("127.0.0.1");
    let secure_url = secure.url("localhost");
    let mut text = format!(
        r#"
        location / {{
            index index.html;
        }}
        # The file as it is but for its coding: gzip where the client accepts it.
        location /gzip/ {{
            alias {www}/;
            gzip on;
            gzip_types *;
            gzip_min_length 1;
            gzip_http_version 1.0;
        }}
        # 256 KiB a second.
        location /slow/ {{
            alias {www}/;
            limit_rate 256k;
        }}
        # Files with trailer fields behind them.
        location /trailers/ {{
            alias {www}/;
            add_trailer X-Trailer "first";
            add_trailer X-Trailer "second";
            add_trailer X-Status $status;
        }}
        # /rate/64k/1m.bin: 64 KiB a second.
        location ~ ^/rate/(?<rate>[0-9]+[km]?)/(?<file>.*)$ {{
            alias {www}/$file;
            limit_rate $rate;
        }}
        # The fault server behind this protocol: bodies pass as they come.
        location /fault/ {{
            proxy_pass http://127.0.0.1:{fault_server}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
        location /charset/ {{
            alias {www}/;
            charset utf-8;
        }}
        # What arrived, a line each.
        location /echo {{
            default_type text/plain;
            add_header X-Echo "first";
            add_header X-Echo "second";
            return 200 "request $request\nprotocol $server_protocol\nconnection-number $connection\nrequest-number $connection_requests\nhost $http_host\nuser-agent $http_user_agent\naccept $http_accept\naccept-encoding $http_accept_encoding\naccept-language $http_accept_language\ncontent-type $http_content_type\ncontent-length $http_content_length\nauthorization $http_authorization\ncookie $http_cookie\nreferer $http_referer\nconnection $http_connection\nexpect $http_expect\nx-test $http_x_test\n";
        }}
        # PUT stores the body; GET gives it back; DELETE removes it.
        location /uploads/ {{
            dav_methods PUT DELETE;
        }}
        # Any method: answers once the whole body has come.
        location = /upload {{
            proxy_pass {plain_url}/upload-received;
            proxy_http_version 1.1;
        }}
        location = /upload-received {{
            default_type text/plain;
            return 200 "method $request_method\ncontent-length $http_content_length\ncontent-type $http_content_type\n";
        }}
        # /redirect/hop/xxx takes three redirects to "arrived".
        location ~ ^/redirect/hop/x(x*)$ {{
            return 302 /redirect/hop/$1;
        }}
        location = /redirect/hop/ {{
            default_type text/plain;
            return 200 "arrived\n";
        }}
        location = /redirect/loop {{
            return 302 /redirect/loop;
        }}
"#
    );
    // Below /redirect/CODE stands the path to go to: with the whole URL in Location, with the path
    // alone, on the site with TLS and HTTP/2, on the plain site.
    for code in REDIRECTS {
        write!(
            text,
            r#"        location ~ ^/redirect/{code}(/.*)$ {{
            return {code} $1$is_args$args;
        }}
        location ~ ^/redirect/relative/{code}(/.*)$ {{
            absolute_redirect off;
            return {code} $1$is_args$args;
        }}
        location ~ ^/redirect/https/{code}(/.*)$ {{
            return {code} {secure_url}$1$is_args$args;
        }}
        location ~ ^/redirect/http/{code}(/.*)$ {{
            return {code} {plain_url}$1$is_args$args;
        }}
"#
        )
        .unwrap();
    }
    for code in STATUSES {
        write!(
            text,
            r#"        location = /status/{code} {{
            default_type text/plain;
            return {code} "status {code}\n";
        }}
"#
        )
        .unwrap();
    }
    text
}
