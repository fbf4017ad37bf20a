// A task is a call of an async function. What Node has no equivalent of is not here: a lock.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

const now = () => Number(process.hrtime.bigint());
const peakKiB = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]);

class Mark {
  peak = peakKiB();
  wall = now();
  cpu = process.cpuUsage();

  report(work, operations, fields = {}) {
    const [wall, spent] = [now() - this.wall, process.cpuUsage(this.cpu)];
    const cpu = (spent.user + spent.system) * 1000;
    console.log(JSON.stringify({ work, operations, wall_ns: wall, cpu_ns: cpu, peak_kib: peakKiB(), ...fields }));
  }

  reportMemory(work, operations) {
    this.report(work, operations, { bytes_each: Math.round(((peakKiB() - this.peak) * 1024) / operations) });
  }
}

/** A tenth of the work to warm up, which also has it compiled, then all of it. */
const measured = (work, body) => async (count) => {
  await body(Math.floor(count / 10));
  const mark = new Mark();
  await body(count);
  mark.report(work, count);
};

function expect(right) {
  if (!right) throw new Error("an item was lost");
}

const nothing = async () => {};

async function spawning(count) {
  for (let start = 0; start < count; start += 100) {
    const batch = [];
    for (let i = start; i < count && i < start + 100; i++) batch.push(nothing());
    await Promise.all(batch);
  }
}

async function switching(count) {
  const turns = async () => {
    for (let i = 0; i < count / 2; i++) await null;
  };
  await Promise.all([turns(), turns()]);
}

/** The bounded queue that Node has is a stream of objects. */
const channel = (room) => new PassThrough({ objectMode: true, readableHighWaterMark: room, writableHighWaterMark: 1 });

async function queue(count) {
  const items = channel(64);
  const putting = async () => {
    for (let i = 0; i < count; i++) if (!items.write(i)) await once(items, "drain");
    items.end();
  };
  const done = putting();
  let expected = 0;
  for await (const item of items) expect(item === expected++);
  expect(expected === count);
  await done;
}

async function handOver(count) {
  const [there, back] = [channel(1), channel(1)];
  const answering = async () => {
    for await (const item of there) if (!back.write(item)) await once(back, "drain");
  };
  const done = answering();
  const answers = back[Symbol.asyncIterator]();
  for (let i = 0; i < count; i++) {
    if (!there.write(i)) await once(there, "drain");
    expect((await answers.next()).value === i);
  }
  there.end();
  await done;
}

async function asyncLet(count) {
  const child = async (number) => number;
  for (let i = 0; i < count; i++) {
    const started = child(i);
    expect((await started) === i);
  }
}

async function groups(count) {
  for (let i = 0; i < Math.floor(count / 10); i++) {
    const ten = [];
    for (let j = 0; j < 10; j++) ten.push(nothing());
    await Promise.all(ten);
  }
}

async function sleepers(count) {
  const mark = new Mark();
  const all = [];
  for (let i = 0; i < count; i++) all.push(sleep(3000));
  await Promise.all(all);
  mark.reportMemory("sleepers", count);
}

/** The same order of deadlines in every peer. */
const spread = (index, span) => (Number((BigInt(index) * 2654435761n) & 0xffffffffn) * span) / 2 ** 32;

function timers(count) {
  const insertAndCancel = (count) => {
    const delays = Array.from({ length: count }, (_, index) => 60000 + spread(index, 60000));
    const mark = new Mark();
    const all = delays.map((delay) => setTimeout(nothing, delay));
    const cancelling = now();
    for (const timer of all) clearTimeout(timer);
    return { mark, insert_ns: cancelling - mark.wall, cancel_ns: now() - cancelling };
  };
  insertAndCancel(Math.floor(count / 10));
  const { mark, ...fields } = insertAndCancel(count);
  mark.report("timers", count, fields);
}

async function timersFire(count) {
  const delays = Array.from({ length: count }, (_, index) => spread(index, 1000));
  const mark = new Mark();
  const start = performance.now() + 1000;
  let [early, left, last] = [0, count, 0];
  await new Promise((done) => {
    for (const delay of delays) {
      const deadline = start + delay;
      last = Math.max(last, deadline);
      // Whole milliseconds, cut off by Node.
      setTimeout(() => {
        if (performance.now() < deadline) early++;
        if (--left === 0) done();
      }, Math.ceil(deadline - performance.now()));
    }
  });
  mark.report("timers-fire", count, { late_ns: Math.round((performance.now() - last) * 1e6), early });
}

/** Between two threads: a worker's messages. */
async function cross(count) {
  const code = 'const { parentPort: home } = require("worker_threads"); home.on("message", (m) => home.postMessage(m))';
  const worker = new Worker(code, { eval: true });
  const bounce = (count) =>
    new Promise((done) => {
      let expected = 0;
      const answered = (number) => {
        expect(number === expected++);
        if (expected < count) return worker.postMessage(expected);
        worker.off("message", answered);
        done();
      };
      worker.on("message", answered);
      worker.postMessage(0);
    });
  await bounce(Math.max(1, Math.floor(count / 10)));
  const mark = new Mark();
  await bounce(count);
  mark.report("cross", count);
  await worker.terminate();
}

/** By callbacks, which Node's documentation recommends over promises for speed. */
async function files(count) {
  const path = `/tmp/node-files-${process.pid}`;
  fs.writeFileSync(path, Buffer.alloc(64 << 20));
  const file = fs.openSync(path);
  fs.unlinkSync(path);
  const buffer = Buffer.alloc(4096);
  let state = 2463534242;
  const read = (count) =>
    new Promise((done, failed) => {
      const next = (error, size = 4096) => {
        if (error || size !== 4096) return failed(error ?? new Error("a short read"));
        if (count-- === 0) return done();
        state ^= state << 13; // xorshift in 32 bits: numbers of 64 are slow here
        state ^= state >>> 17;
        state ^= state << 5;
        fs.read(file, buffer, 0, 4096, ((state >>> 0) % (64 << 8)) * 4096, next);
      };
      next(null);
    });
  await measured("files", read)(count);
}

async function children(count) {
  for (let i = 0; i < count; i++) {
    const [code] = await once(spawn("/bin/true", { stdio: "inherit" }), "exit");
    expect(code === 0);
  }
}

async function parked(count) {
  const mark = new Mark();
  const never = new Promise(() => {});
  const waiting = async () => await never;
  const all = [];
  for (let i = 0; i < count; i++) all.push(waiting());
  await null;
  mark.reportMemory("parked", all.length);
  process.exit(0);
}

async function calls(count) {
  for (let i = 0; i < count; i++) await nothing();
}

export const works = {
  spawn: measured("spawn", spawning),
  switch: measured("switch", switching),
  queue: measured("queue", queue),
  "hand-over": measured("hand-over", handOver),
  "async-let": measured("async-let", asyncLet),
  group: measured("group", groups),
  sleepers,
  timers,
  "timers-fire": timersFire,
  cross,
  files,
  children: measured("children", children),
  parked,
  call: measured("call", calls),
  start: () => new Promise((done) => setImmediate(done)),
};
