//! The test target `c`: builds and runs the C tests against real servers on loopback, and checks
//! the header and the shared object.
//!
//! `C_TESTS_SERVE=1 cargo test --release -p nsurlsession-c-tests` starts only the servers, prints
//! their environment as shell exports and serves until stdin ends: for a debugger.

mod apache;
mod cases;
mod certificates;
mod compile;
mod examples;
mod exports;
mod fault_server;
mod header;
mod linking;
mod listening;
mod nginx;
mod paths;
mod process;
mod www;

use libtest_mimic::Arguments;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

/// What the C tests talk to. Dropping it ends the servers.
struct Servers {
    environment: Vec<(String, String)>,
    _nginx: nginx::Nginx,
    _apache: apache::Apache,
    _fault_server: fault_server::FaultServer,
}

impl Servers {
    fn start(paths: &paths::Paths) -> Result<Servers, String> {
        let certificates = certificates::Certificates::write(&paths.run.join("certificates"))?;
        let www = paths.run.join("www");
        www::write(&www).map_err(|error| format!("{}: {error}", www.display()))?;
        let fault_server = fault_server::FaultServer::start(&paths.run)?;
        let port = fault_server.port;
        let nginx = nginx::Nginx::start(&paths.run.join("nginx"), &www, &certificates, port)?;
        let apache = apache::Apache::start(&paths.run.join("apache"), &www, &certificates)?;

        let mut environment = nginx.environment();
        environment.extend(apache.environment());
        environment.extend(fault_server.environment());
        for (name, path) in [
            ("SSL_CERT_FILE", &certificates.ca),
            ("CA_FILE", &certificates.ca),
            ("OTHER_CA_FILE", &certificates.other_ca),
            ("WWW_DIR", &www),
        ] {
            environment.push((name.into(), path.display().to_string()));
        }
        Ok(Servers {
            environment,
            _nginx: nginx,
            _apache: apache,
            _fault_server: fault_server,
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let paths = match paths::Paths::prepare() {
        Ok(paths) => Arc::new(paths),
        Err(error) => return complain(&error),
    };
    process::prepare_limits();

    if std::env::var_os("C_TESTS_SERVE").is_some() {
        return match Servers::start(&paths) {
            Ok(servers) => serve(&servers, &paths),
            Err(error) => complain(&error),
        };
    }

    if let Err(error) = update(&paths) {
        return complain(&error);
    }

    // Started on this thread: a server gets its death signal when the thread that started it ends.
    let servers = if arguments.list {
        None
    } else {
        match Servers::start(&paths) {
            Ok(servers) => Some(servers),
            Err(error) => return complain(&error),
        }
    };
    let environment = servers
        .as_ref()
        .map_or(Vec::new(), |servers| servers.environment.clone());

    let mut trials = header::trials(&paths);
    trials.extend(exports::trials(&paths));
    trials.extend(linking::trials(&paths));
    trials.extend(examples::trials(&paths, &environment));
    trials.extend(cases::trials(&paths, environment));
    let conclusion = libtest_mimic::run(&arguments, trials);

    drop(servers);
    if conclusion.has_failed() {
        eprintln!(
            "The programs and the servers' logs are kept in {}",
            paths.run.display()
        );
    } else {
        paths.remove_run();
    }
    conclusion.exit_code()
}

/// Rewrites the files that are generated, if the environment asks for it.
fn update(paths: &paths::Paths) -> Result<(), String> {
    if std::env::var_os("UPDATE_HEADER").is_some() {
        header::update(paths)?;
    }
    if std::env::var_os("UPDATE_SYMBOLS").is_some() {
        exports::update(paths)?;
    }
    Ok(())
}

fn complain(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn serve(servers: &Servers, paths: &paths::Paths) -> ExitCode {
    for (name, value) in &servers.environment {
        println!("export {name}='{value}'");
    }
    println!("# Serving until stdin ends.");
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    paths.remove_run();
    ExitCode::SUCCESS
}
