//! Options of a client, and the small requests it makes by hand to the hold server.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// `--key value` pairs.
pub struct Options(HashMap<String, String>);

impl Options {
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut map = HashMap::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let key = arg
                .strip_prefix("--")
                .ok_or_else(|| format!("unexpected argument {arg}"))?;
            let value = args
                .next()
                .ok_or_else(|| format!("{arg} needs a value"))?
                .clone();
            map.insert(key.to_owned(), value);
        }
        Ok(Self(map))
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub fn url(&self, key: &str) -> Result<&str, String> {
        self.text(key).ok_or_else(|| format!("--{key} is missing"))
    }

    pub fn number(&self, key: &str, default: u64) -> Result<u64, String> {
        self.text(key).map_or(Ok(default), |text| {
            text.parse()
                .map_err(|_| format!("--{key} {text}: not a number"))
        })
    }
}

/// Asks the hold server for `path` and returns the answer's body.
pub fn ask(url: &str, path: &str) -> String {
    let host = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
        .expect("a hold URL starts with http://host:port/");
    let mut answer = String::new();
    let mut stream = TcpStream::connect(host).expect("connect to the hold server");
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").expect("ask");
    stream.read_to_string(&mut answer).expect("the answer");
    answer
        .split_once("\r\n\r\n")
        .map_or(String::new(), |(_, body)| body.to_owned())
}

/// How many requests the hold server holds.
pub fn held(url: &str) -> u64 {
    ask(url, "/count").trim().parse().unwrap_or(0)
}

/// Makes the hold server answer what it holds.
pub fn release(url: &str) {
    ask(url, "/release");
}
