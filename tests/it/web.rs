//! A web server for lists, certificates and bundles: what lies at a path, and how often it was asked for. Knows ETag.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::world::{locked, loopback};

pub const PORT: u16 = 10_081;

#[derive(Default)]
struct Shelf {
    files: HashMap<String, Vec<u8>>,
    /// Path and status of each answer.
    answers: Vec<(String, u16)>,
}

pub struct Web {
    pub ip: Ipv4Addr,
    shelf: Arc<Mutex<Shelf>>,
}

impl Web {
    pub fn start() -> Self {
        let ip = loopback();
        let port = TcpListener::bind((ip, PORT)).expect("an address of our own");
        let shelf = Arc::<Mutex<Shelf>>::default();
        let kept = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in port.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || answer(stream, &kept).is_ok());
            }
        });
        Self { ip, shelf }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{PORT}{path}", self.ip)
    }

    pub fn net(&self) -> String {
        format!("{}/32", self.ip)
    }

    pub fn put(&self, path: &str, octets: &[u8]) {
        locked(&self.shelf)
            .files
            .insert(path.to_owned(), octets.to_vec());
    }

    pub fn remove(&self, path: &str) {
        locked(&self.shelf).files.remove(path);
    }

    /// The statuses with which this path was answered.
    pub fn answers(&self, path: &str) -> Vec<u16> {
        let shelf = locked(&self.shelf);
        let of_path = shelf.answers.iter().filter(|(asked, _)| asked == path);
        of_path.map(|(_, status)| *status).collect()
    }
}

fn answer(stream: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut etag, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "if-none-match" => value.clone_into(&mut etag),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let file = locked(shelf).files.get(&path).cloned();
    let (status, body, own) = match file {
        None => (404, Vec::new(), String::new()),
        Some(octets) => {
            let own = format!("\"{:x}\"", fingerprint(&octets));
            match own == etag {
                true => (304, Vec::new(), own),
                false => (200, octets, own),
            }
        }
    };
    locked(shelf).answers.push((path, status));
    let head = format!(
        "HTTP/1.1 {status} so\r\nContent-Length: {}\r\nETag: {own}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

fn fingerprint(octets: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}
