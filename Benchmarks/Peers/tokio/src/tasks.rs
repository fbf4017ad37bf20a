use crate::measure::{measure, Mark};
use crate::runtime;
use std::future::{poll_fn, Future};
use std::{fs, hint::black_box, os::unix::fs::FileExt, pin::Pin, process, sync::Arc, task::Poll, thread};
use tokio::sync::{mpsc, Mutex, Notify};
use tokio::task::{spawn_blocking, yield_now, JoinSet};
use tokio::time::{sleep, sleep_until, Duration, Instant, Sleep};

pub async fn spawn(count: usize) {
    measure("spawn", count, |count| async move {
        let mut batch = Vec::with_capacity(100);
        for start in (0..count).step_by(100) {
            batch.extend((start..count.min(start + 100)).map(|_| tokio::spawn(async {})));
            for task in batch.drain(..) {
                task.await.expect("task");
            }
        }
    })
    .await
}

pub async fn switch(count: usize) {
    measure("switch", count, |count| async move {
        let turns = move || async move {
            for _ in 0..count / 2 {
                yield_now().await
            }
        };
        let (one, two) = (tokio::spawn(turns()), tokio::spawn(turns()));
        one.await.expect("task");
        two.await.expect("task");
    })
    .await
}

pub async fn queue(count: usize) {
    measure("queue", count, |count| async move {
        let (sender, mut receiver) = mpsc::channel(64);
        let putting = tokio::spawn(async move {
            for number in 0..count {
                sender.send(number).await.expect("receiver");
            }
        });
        let taking = tokio::spawn(async move {
            for number in 0..count {
                assert_eq!(receiver.recv().await, Some(number));
            }
        });
        putting.await.expect("task");
        taking.await.expect("task");
    })
    .await
}

pub async fn hand_over(count: usize) {
    measure("hand-over", count, |count| async move {
        let (there, mut arriving) = mpsc::channel(1);
        let (back, mut answers) = mpsc::channel(1);
        let answering = tokio::spawn(async move {
            while let Some(number) = arriving.recv().await {
                back.send(number).await.expect("receiver");
            }
        });
        let asking = tokio::spawn(async move {
            for number in 0..count {
                there.send(number).await.expect("receiver");
                assert_eq!(answers.recv().await, Some(number));
            }
        });
        asking.await.expect("task");
        answering.await.expect("task");
    })
    .await
}

pub async fn lock(count: usize) {
    measure("lock", count, |count| async move {
        let lock = Arc::new(Mutex::new(0));
        tokio::spawn({
            let lock = lock.clone();
            async move {
                for _ in 0..count {
                    *lock.lock().await += 1;
                }
            }
        })
        .await
        .expect("task");
        assert_eq!(*lock.lock().await, count);
    })
    .await
}

pub async fn async_let(count: usize) {
    measure("async-let", count, |count| async move {
        for number in 0..count {
            assert_eq!(tokio::spawn(async move { number }).await.expect("task"), number);
        }
    })
    .await
}

pub async fn group(count: usize) {
    measure("group", count, |count| async move {
        for _ in 0..count / 10 {
            let mut group = JoinSet::new();
            for _ in 0..10 {
                group.spawn(async {});
            }
            while group.join_next().await.is_some() {}
        }
    })
    .await
}

pub async fn sleepers(count: usize) {
    let mark = Mark::now();
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(sleep(Duration::from_secs(3)))).collect();
    for task in tasks {
        task.await.expect("task");
    }
    mark.report_memory("sleepers", count);
}

/// The same order of deadlines in every peer.
fn spread(index: usize, span: Duration) -> Duration {
    let part = (index as u32).wrapping_mul(2_654_435_761);
    Duration::from_nanos((part as u64 * span.as_nanos() as u64) >> 32)
}

pub async fn timers(count: usize) {
    let insert_and_cancel = |count| async move {
        let start = Instant::now() + Duration::from_secs(60);
        let inserting = Instant::now();
        let mut timers: Vec<Pin<Box<Sleep>>> =
            (0..count).map(|index| Box::pin(sleep_until(start + spread(index, Duration::from_secs(60))))).collect();
        // A timer is in the wheel once it has been polled.
        poll_fn(|context| {
            for timer in &mut timers {
                assert!(timer.as_mut().poll(context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        let cancelling = Instant::now();
        drop(timers);
        (cancelling - inserting, cancelling.elapsed())
    };
    insert_and_cancel(count / 10).await;
    let mark = Mark::now();
    let (insert, cancel) = insert_and_cancel(count).await;
    let fields = format!(",\"insert_ns\":{},\"cancel_ns\":{}", insert.as_nanos(), cancel.as_nanos());
    mark.report("timers", count, &fields);
}

pub async fn timers_fire(count: usize) {
    let mark = Mark::now();
    let start = Instant::now() + Duration::from_secs(1);
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            tokio::spawn(async move {
                let deadline = start + spread(index, Duration::from_secs(1));
                sleep_until(deadline).await;
                Instant::now() < deadline
            })
        })
        .collect();
    let last = (0..count).map(|index| start + spread(index, Duration::from_secs(1))).max().unwrap_or(start);
    let mut early = 0;
    for task in tasks {
        early += task.await.expect("task") as usize;
    }
    let late = last.elapsed().as_nanos();
    mark.report("timers-fire", count, &format!(",\"late_ns\":{late},\"early\":{early}"));
}

/// Between two threads with a runtime each.
pub async fn cross(count: usize) {
    let (there, mut arriving) = mpsc::channel(1);
    let (back, mut answers) = mpsc::channel(1);
    let thread = thread::spawn(move || {
        runtime().block_on(async move {
            while let Some(number) = arriving.recv().await {
                back.send(number).await.expect("receiver");
            }
        })
    });
    let mut mark = Mark::now();
    for number in 0..count / 10 + count {
        if number == count / 10 {
            mark = Mark::now();
        }
        there.send(number).await.expect("receiver");
        assert_eq!(answers.recv().await, Some(number));
    }
    mark.report("cross", count, "");
    drop(there);
    thread.join().expect("thread");
}

/// By `spawn_blocking`, as tokio's documentation advises: `tokio::fs::File` would go there twice, to seek and to read.
pub async fn files(count: usize) {
    let path = format!("/tmp/tokio-files-{}", process::id());
    fs::write(&path, vec![b'a'; 64 << 20]).expect("file");
    let file = Arc::new(fs::File::open(&path).expect("file"));
    fs::remove_file(&path).expect("file");
    measure("files", count, |count| {
        let file = file.clone();
        async move {
            let (mut state, mut buffer) = (88172645463325252u64, vec![0; 4096]);
            for _ in 0..count {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let (file, place) = (file.clone(), state % (64 << 8) * 4096);
                let read = spawn_blocking(move || file.read_exact_at(&mut buffer, place).map(|_| buffer));
                buffer = read.await.expect("task").expect("read");
            }
            black_box(buffer);
        }
    })
    .await
}

pub async fn children(count: usize) {
    measure("children", count, |count| async move {
        for _ in 0..count {
            assert!(tokio::process::Command::new("/bin/true").status().await.expect("child").success());
        }
    })
    .await
}

pub async fn parked(count: usize) {
    let mark = Mark::now();
    let never = Arc::new(Notify::new());
    for _ in 0..count {
        let never = never.clone();
        tokio::spawn(async move { never.notified().await });
    }
    yield_now().await;
    tokio::spawn(async {}).await.expect("task"); // all that were spawned before have run by now
    mark.report_memory("parked", count);
}

#[inline(never)]
async fn nothing(number: usize) -> usize {
    black_box(number)
}

pub async fn call(count: usize) {
    measure("call", count, |count| async move {
        for number in 0..count {
            black_box(nothing(number).await);
        }
    })
    .await
}
