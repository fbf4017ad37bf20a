//! The clocks, and the one line of JSON that a work prints.
use std::{fs, future::Future, mem::MaybeUninit};

fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("VmHWM")
}

pub struct Mark {
    wall: u64,
    cpu: u64,
    peak: u64,
}

impl Mark {
    pub fn now() -> Mark {
        Mark { peak: peak_kib(), wall: clock(libc::CLOCK_MONOTONIC), cpu: clock(libc::CLOCK_PROCESS_CPUTIME_ID) }
    }

    /// `fields` are more fields of JSON, or nothing.
    pub fn report(self, work: &str, operations: usize, fields: &str) {
        let (wall, cpu) = (clock(libc::CLOCK_MONOTONIC) - self.wall, clock(libc::CLOCK_PROCESS_CPUTIME_ID) - self.cpu);
        let peak = peak_kib();
        println!(
            "{{\"work\":\"{work}\",\"operations\":{operations},\"wall_ns\":{wall},\"cpu_ns\":{cpu},\
             \"peak_kib\":{peak}{fields}}}"
        );
    }

    pub fn report_memory(self, work: &str, operations: usize) {
        let each = (peak_kib() - self.peak) * 1024 / operations as u64;
        self.report(work, operations, &format!(",\"bytes_each\":{each}"));
    }
}

/// A tenth of the work to warm up, then all of it.
pub async fn measure<F: Future<Output = ()>>(work: &str, operations: usize, body: impl Fn(usize) -> F) {
    body(operations / 10).await;
    let mark = Mark::now();
    body(operations).await;
    mark.report(work, operations, "");
}
