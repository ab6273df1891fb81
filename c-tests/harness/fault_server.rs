//! The fault server: does what no real server will do. Its own source says how it is asked.

use crate::process::{bind_to_this_thread, kill_group};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct FaultServer {
    child: Child,
    pub port: u16,
}

impl FaultServer {
    pub fn start(run: &Path) -> Result<FaultServer, String> {
        let program = env!("CARGO_BIN_EXE_fault-server");
        let log = run.join("fault-server.log");
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut child = bind_to_this_thread(&mut Command::new(program))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let mut output = BufReader::new(child.stdout.take().expect("piped"));

        let mut line = String::new();
        let port = loop {
            line.clear();
            match output.read_line(&mut line) {
                Ok(0) | Err(_) => break None,
                Ok(_) => {}
            }
            if let Some(port) = line.strip_prefix("PORT ") {
                break port.trim().parse().ok();
            }
        };
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        match port {
            Some(port) => Ok(FaultServer { child, port }),
            None => {
                kill_group(&mut child);
                Err(format!(
                    "{program} did not say its port; it printed {line:?} last"
                ))
            }
        }
    }

    /// What the tests find in their environment: base URLs without a slash at the end.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = |host: &str| format!("http://{host}:{}", self.port);
        vec![
            (
                "FAULT_SERVER".into(),
                env!("CARGO_BIN_EXE_fault-server").into(),
            ),
            ("FAULT_URL".into(), url("127.0.0.1")),
            ("FAULT_LOCALHOST_URL".into(), url("localhost")),
            ("FAULT6_URL".into(), url("[::1]")),
        ]
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}
