//! tokio peer. Usage: tokio-bench BENCH [key=value ...]; workers=0 selects the current_thread runtime.
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

struct Args(BTreeMap<String, String>);

impl Args {
    fn num(&self, key: &str, default: usize) -> usize {
        self.0.get(key).map_or(default, |v| v.parse().unwrap())
    }
}

struct Outcome {
    value: f64,
    unit: &'static str,
    extra: Vec<(&'static str, f64)>,
}

fn rate(n: usize, t0: Instant, unit: &'static str) -> Outcome {
    let s = t0.elapsed().as_secs_f64();
    Outcome { value: n as f64 / s, unit, extra: vec![("count", n as f64), ("seconds", s)] }
}

fn memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    text.lines()
        .filter(|line| line.starts_with("VmRSS:") || line.starts_with("VmPTE:"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0)
        .sum()
}

fn lateness(mut late: Vec<f64>) -> Vec<(&'static str, f64)> {
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let at = |q: f64| late[((late.len() as f64 * q) as usize).min(late.len() - 1)] * 1e3;
    vec![("late_p50_ms", at(0.5)), ("late_p99_ms", at(0.99)), ("late_max_ms", at(1.0)),
         ("late_samples", late.len() as f64)]
}

/// Small xorshift, so that no random-number crate is needed.
fn random_below(seed: &mut u64, limit: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % limit
}

async fn spawn(a: &Args) -> Outcome {
    let n = a.num("n", 1_000_000);
    let t0 = Instant::now();
    let tasks: Vec<_> = (0..n).map(|_| tokio::spawn(async {})).collect();
    for t in tasks {
        t.await.unwrap();
    }
    rate(n, t0, "spawns/s")
}

/// Runs a task on the shared runtime or, with cross=1, on an OS thread with a runtime of its own, so
/// that two such tasks cannot share a worker (tokio otherwise keeps a talking pair on one).
fn start<F: Future<Output = ()> + Send + 'static>(cross: bool, f: F) {
    if cross {
        std::thread::spawn(move || block(0, f));
    } else {
        tokio::spawn(f);
    }
}

async fn pingpong(a: &Args) -> Outcome {
    let n = a.num("n", 500_000);
    let (to_b, mut in_b) = mpsc::channel::<usize>(8);
    let (to_a, mut in_a) = mpsc::channel::<usize>(8);
    let (done, finished) = tokio::sync::oneshot::channel();
    let cross = a.num("cross", 0) == 1;
    let t0 = Instant::now();
    start(cross, async move {
        while let Some(v) = in_b.recv().await {
            if to_a.send(v).await.is_err() {
                return;
            }
        }
    });
    start(cross, async move {
        for i in 0..n {
            to_b.send(i).await.unwrap();
            in_a.recv().await.unwrap();
        }
        done.send(()).unwrap();
    });
    finished.await.unwrap();
    rate(n, t0, "round trips/s")
}

async fn ring(a: &Args) -> Outcome {
    let (tasks, laps) = (a.num("tasks", 1000), a.num("laps", 1000));
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..tasks {
        let (s, r) = mpsc::channel::<usize>(8);
        senders.push(s);
        receivers.push(r);
    }
    let t0 = Instant::now();
    let nodes: Vec<_> = receivers.into_iter().enumerate().map(|(i, mut inbox)| {
        let next = senders[(i + 1) % tasks].clone();
        tokio::spawn(async move {
            while let Some(token) = inbox.recv().await {
                // the first node may be gone when the very last hop arrives
                let _ = next.send(token - 1).await;
                if token <= tasks {
                    return;
                }
            }
        })
    }).collect();
    senders[0].send(tasks * laps).await.unwrap();
    for n in nodes {
        n.await.unwrap();
    }
    rate(tasks * laps, t0, "hops/s")
}

async fn idle(a: &Args) -> Outcome {
    let n = a.num("n", 100_000);
    let waiting = Arc::new(AtomicUsize::new(0));
    let before = memory();
    let t0 = Instant::now();
    let mut boxes = Vec::with_capacity(n);
    let mut tasks = Vec::with_capacity(n);
    for _ in 0..n {
        let (s, mut inbox) = mpsc::channel::<usize>(8);
        let waiting = waiting.clone();
        boxes.push(s);
        tasks.push(tokio::spawn(async move {
            waiting.fetch_add(1, Ordering::Relaxed);
            inbox.recv().await
        }));
    }
    while waiting.load(Ordering::Relaxed) < n {
        tokio::task::yield_now().await;
    }
    let create = t0.elapsed().as_secs_f64();
    let per = (memory() - before) / n as f64;
    let t1 = Instant::now();
    for b in &boxes {
        b.send(1).await.unwrap();
    }
    for t in tasks {
        t.await.unwrap();
    }
    Outcome { value: per, unit: "bytes/task",
              extra: vec![("create_s", create), ("wake_all_s", t1.elapsed().as_secs_f64())] }
}

fn is_prime(n: u64) -> bool {
    if n < 2 {
        return false;
    }
    if n % 2 == 0 {
        return n == 2;
    }
    let mut d = 3;
    while d * d <= n {
        if n % d == 0 {
            return false;
        }
        d += 2;
    }
    true
}

async fn primes(a: &Args) -> Outcome {
    let (limit, tasks) = (a.num("limit", 2_000_000) as u64, a.num("tasks", 64) as u64);
    let t0 = Instant::now();
    let parts: Vec<_> = (0..tasks).map(|i| {
        let (lo, hi) = (limit * i / tasks, limit * (i + 1) / tasks);
        tokio::spawn(async move { (lo..hi).filter(|&n| is_prime(n)).count() })
    }).collect();
    let mut total = 0;
    for p in parts {
        total += p.await.unwrap();
    }
    Outcome { value: t0.elapsed().as_secs_f64(), unit: "s", extra: vec![("primes", total as f64)] }
}

async fn mpsc_bench(a: &Args) -> Outcome {
    let (n, producers) = (a.num("n", 1_000_000), a.num("producers", 8));
    let (s, mut inbox) = mpsc::channel::<usize>(a.num("bound", 1024));
    let t0 = Instant::now();
    for _ in 0..producers {
        let s = s.clone();
        tokio::spawn(async move {
            for i in 0..n / producers {
                s.send(i).await.unwrap();
            }
        });
    }
    tokio::spawn(async move {
        for _ in 0..n {
            inbox.recv().await.unwrap();
        }
    }).await.unwrap();
    rate(n, t0, "msgs/s")
}

async fn bigbuf(a: &Args) -> Outcome {
    let (size, passes) = (a.num("mib", 64) << 20, a.num("passes", 100));
    let mut buf = vec![7u8; size];
    fn check(b: &[u8]) {
        assert!(b[0] == 7 && b[b.len() - 1] == 7);
    }
    let (to_b, mut in_b) = mpsc::channel::<Vec<u8>>(1);
    let (to_a, mut in_a) = mpsc::channel::<Vec<u8>>(1);
    let (done, finished) = tokio::sync::oneshot::channel();
    let cross = a.num("cross", 0) == 1;
    let t0 = Instant::now();
    start(cross, async move {
        while let Some(v) = in_b.recv().await {
            check(&v);
            let _ = to_a.send(v).await;
        }
    });
    start(cross, async move {
        for _ in 0..passes / 2 {
            to_b.send(buf).await.unwrap();
            buf = in_a.recv().await.unwrap();
            check(&buf);
        }
        done.send(()).unwrap();
    });
    finished.await.unwrap();
    let took = t0.elapsed().as_secs_f64();
    Outcome { value: size as f64 * passes as f64 / took / 1e9, unit: "GB/s",
              extra: vec![("per_pass_us", took / passes as f64 * 1e6)] }
}

async fn timers(a: &Args) -> Outcome {
    let n = a.num("n", 100_000);
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    let t0 = Instant::now();
    let tasks: Vec<_> = (0..n).map(|_| {
        let delay = Duration::from_nanos(random_below(&mut seed, 1_000_000_000));
        tokio::spawn(async move {
            let due = Instant::now() + delay;
            tokio::time::sleep(delay).await;
            Instant::now().saturating_duration_since(due).as_secs_f64()
        })
    }).collect();
    let mut late = Vec::with_capacity(n);
    for t in tasks {
        late.push(t.await.unwrap());
    }
    Outcome { value: t0.elapsed().as_secs_f64(), unit: "s", extra: lateness(late) }
}

async fn fairness(a: &Args) -> Outcome {
    let (tickers, period, seconds) =
        (a.num("tickers", 100), a.num("period_ms", 10) as u64, a.num("seconds", 3) as u64);
    let start = Instant::now();
    let ticks: Vec<_> = (0..tickers).map(|_| tokio::spawn(async move {
        let mut late = Vec::new();
        for k in 1..=seconds * 1000 / period {
            let due = start + Duration::from_millis(k * period);
            tokio::time::sleep_until(due.into()).await;
            late.push(Instant::now().saturating_duration_since(due).as_secs_f64());
        }
        late
    })).collect();
    let hog = tokio::spawn(async move {
        let (end, mut done) = (start + Duration::from_secs(seconds), 0u64);
        while Instant::now() < end {
            for _ in 0..1_000_000 {
                done = std::hint::black_box(done + 1);
            }
        }
        done
    });
    let mut late = Vec::new();
    for t in ticks {
        late.extend(t.await.unwrap());
    }
    let mut extra = lateness(late);
    extra.push(("hog_iters", hog.await.unwrap() as f64));
    Outcome { value: extra[1].1, unit: "ms", extra }
}

async fn echo() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("PORT {}", listener.local_addr().unwrap().port());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::spawn(async move {
        loop {
            let (mut sock, _) = listener.accept().await.unwrap();
            let _ = sock.set_nodelay(true);
            tokio::spawn(async move {
                let mut buf = [0u8; 4096];
                loop {
                    match sock.read(&mut buf).await {
                        Ok(n) if n > 0 => {
                            if sock.write_all(&buf[..n]).await.is_err() {
                                return;
                            }
                        }
                        _ => return,
                    }
                }
            });
        }
    }).await.unwrap();
}

fn block<F: Future>(workers: usize, f: F) -> F::Output {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        n => {
            let mut b = tokio::runtime::Builder::new_multi_thread();
            b.worker_threads(n);
            b
        }
    };
    builder.enable_all().build().unwrap().block_on(f)
}

fn main() {
    let bench = std::env::args().nth(1).expect("BENCH");
    let a = Args(std::env::args().skip(2).map(|s| {
        let (k, v) = s.split_once('=').expect("key=value");
        (k.to_string(), v.to_string())
    }).collect());
    let workers = a.num("workers", 2);
    let o = block(workers, async {
        match bench.as_str() {
            "spawn" => spawn(&a).await,
            "pingpong" => pingpong(&a).await,
            "ring" => ring(&a).await,
            "idle" => idle(&a).await,
            "primes" => primes(&a).await,
            "fan_in" => mpsc_bench(&a).await,
            "buffer" => bigbuf(&a).await,
            "timers" => timers(&a).await,
            "fairness" => fairness(&a).await,
            "echo" => {
                echo().await;
                unreachable!()
            }
            other => panic!("no benchmark {other}"),
        }
    });
    let params: Vec<_> = a.0.iter().map(|(k, v)| format!("\"{k}\": \"{v}\"")).collect();
    let extra: Vec<_> = o.extra.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
    println!("{{\"peer\": \"tokio\", \"bench\": \"{bench}\", \"value\": {}, \"unit\": \"{}\", \"params\": {{{}}}, \"extra\": {{{}}}}}",
             o.value, o.unit, params.join(", "), extra.join(", "));
}
