//! tokio 1.24 or later on its current-thread runtime: one thread, as the others. Fat LTO and one codegen unit, as its
//! users build for speed.
mod measure;
mod servers;
mod tasks;

use std::{env, process};
use tokio::runtime::{Builder, Runtime};

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("runtime")
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let count = number(2);
    let work = arguments.get(1).cloned().unwrap_or_default();
    runtime().block_on(async {
        match work.as_str() {
            "echo" => servers::echo(count as u16).await.expect("echo"),
            "proxy" => servers::proxy(count as u16, number(3) as u16).await.expect("proxy"),
            "udp" => servers::udp(count as u16).await.expect("udp"),
            "spawn" => tasks::spawn(count).await,
            "switch" => tasks::switch(count).await,
            "queue" => tasks::queue(count).await,
            "hand-over" => tasks::hand_over(count).await,
            "lock" => tasks::lock(count).await,
            "async-let" => tasks::async_let(count).await,
            "group" => tasks::group(count).await,
            "sleepers" => tasks::sleepers(count).await,
            "timers" => tasks::timers(count).await,
            "timers-fire" => tasks::timers_fire(count).await,
            "cross" => tasks::cross(count).await,
            "files" => tasks::files(count).await,
            "children" => tasks::children(count).await,
            "parked" => tasks::parked(count).await,
            "call" => tasks::call(count).await,
            "start" => tokio::spawn(async {}).await.expect("task"),
            _ => {
                eprintln!("{work}: unknown");
                process::exit(3)
            }
        }
    });
}
