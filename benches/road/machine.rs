//! What the machine says of a process and of itself. In: /proc and a folder. Out: numbers.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// One reading of all clocks.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub at: Instant,
    /// User and system time of the gateway's process, with what it waited for.
    pub gateway: Duration,
    ours: Duration,
    busy: Duration,
    total: Duration,
}

/// Ticks of /proc in a second: USER_HZ is 100 on every Linux that we run on.
const TICK: Duration = Duration::from_millis(10);

impl Reading {
    pub fn of(gateway: u32) -> Self {
        let (busy, total) = machine();
        Self {
            at: Instant::now(),
            gateway: process(gateway),
            ours: process(std::process::id()),
            busy,
            total,
        }
    }

    /// Share of the machine's CPU time since `before` that neither the gateway nor this program used.
    pub fn others(&self, before: &Self) -> f64 {
        let span = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        let busy = span(self.busy, before.busy);
        let known = span(self.gateway, before.gateway) + span(self.ours, before.ours);
        let total = span(self.total, before.total);
        if total > 0.0 {
            (busy - known).max(0.0) / total
        } else {
            0.0
        }
    }
}

/// utime + stime + cutime + cstime: all threads, and children that were waited for.
fn process(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}

/// Busy and all time of all processors.
fn machine() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u32> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse::<u64>().ok())
        // Differences are what is asked for, over minutes.
        .map(|ticks| u32::try_from(ticks % u64::from(u32::MAX / 16)).unwrap_or(0))
        .collect();
    let total: u32 = ticks.iter().sum();
    // idle and iowait.
    let idle: u32 = ticks.iter().skip(3).take(2).sum();
    (TICK * (total - idle), TICK * total)
}

/// The most memory it ever had, in KiB.
pub fn peak_kib(id: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{id}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

pub fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .unwrap_or_default()
        .split(' ')
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// How often this disk appends 4 KiB durably in a second: one second of it.
pub fn fdatasync_rate(folder: &Path) -> f64 {
    let path = folder.join("fdatasync");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path);
    let Ok(mut file) = file else { return 0.0 };
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < Duration::from_secs(1) {
        if file
            .write_all(&[7; 4096])
            .and_then(|()| file.sync_data())
            .is_err()
        {
            break;
        }
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    // The run's folder is removed anyway.
    let _ = std::fs::remove_file(path);
    rate
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(((last as f64) * share).round() as usize)
        .copied()
        .unwrap_or_default()
}
