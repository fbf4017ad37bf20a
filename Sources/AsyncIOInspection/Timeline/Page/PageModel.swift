/// Decodes the recording into columns, and counts.
let pageModel: StaticString = #"""
    const RUN = 0, READY = 1, READ = 2, WRITE = 3, SLEEP = 4, OTHER = 5, PARKED = 6, UNKNOWN = 7, WORK = 8, ASLEEP = 9;
    const DID = 0, TICK = 1, FIRED = 2, INBOX = 3, AWAKE = 4;
    const LONG = 30e6;
    const element = id => document.getElementById(id);
    const trace = JSON.parse(element("trace").textContent);
    const strings = trace.strings;
    const duration = Math.max(trace.duration, 1);

    // Columns: one entry for each span, the lanes one after the other, each in the order of time.
    const lanes = trace.lanes.map((row, index) => {
      const [loop, id, name, origin, parent, creator, first, over, spans, marks] = row;
      return { index, loop, id, name, origin, parent, creator, first, over: over === 1, spans, marks, span0: 0,
        span1: 0, mark0: 0, mark1: 0, runs: 0, runTime: 0, readyTime: 0, waitTime: 0, longest: -1, latest: -1,
        targets: new Set(), isLoop: id === 0 };
    });
    const total = lanes.reduce((sum, lane) => sum + lane.spans, 0);
    const totalMarks = lanes.reduce((sum, lane) => sum + lane.marks, 0);
    const start = new Float64Array(total), end = new Float64Array(total), state = new Uint8Array(total);
    // Of a wait: operation, target, result. Of ready: who ended the wait, as a number and as a lane.
    const first = new Float64Array(total), second = new Int32Array(total), third = new Int32Array(total);
    const markTime = new Float64Array(totalMarks), markKind = new Uint8Array(totalMarks);
    const markFirst = new Int32Array(totalMarks), markSecond = new Int32Array(totalMarks);

    (() => {
      const text = atob(element("spans").textContent), length = text.length;
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i);
      element("spans").textContent = "";
      let at = 0;
      function next() {
        let byte = bytes[at++], value = byte & 127, factor = 128;
        while (byte > 127) {
          byte = bytes[at++];
          value += (byte & 127) * factor;
          factor *= 128;
        }
        return value;
      }
      let span = 0, mark = 0;
      for (const lane of lanes) {
        lane.span0 = span;
        let time = 0;
        for (let n = 0; n < lane.spans; n++, span++) {
          start[span] = time += next();
          end[span] = time += next();
          const what = state[span] = bytes[at++];
          if (what === READY) first[span] = next();
          else if (what >= READ && what <= PARKED) {
            first[span] = next();
            const target = second[span] = next();
            if (target > 0) lane.targets.add(target);
            const result = next();
            third[span] = result % 2 ? -(result + 1) / 2 : result / 2;
          }
        }
        lane.span1 = span;
        lane.mark0 = mark;
        time = 0;
        for (let n = 0; n < lane.marks; n++, mark++) {
          markTime[mark] = time += next();
          const kind = markKind[mark] = bytes[at++];
          markFirst[mark] = next();
          if (kind === DID) {
            const target = markSecond[mark] = next();
            if (target > 0) lane.targets.add(target);
          }
        }
        lane.mark1 = mark;
      }
    })();

    // Who is who.
    const loopLanes = lanes.filter(lane => lane.isLoop);
    const taskLanes = lanes.filter(lane => !lane.isLoop);
    const byId = new Map();
    for (const lane of taskLanes) {
      byId.set(lane.loop + ":" + lane.id, lane);
      if (!byId.has(lane.id)) byId.set(lane.id, lane);
    }
    const laneOf = (loop, id) => byId.get(loop + ":" + id) || byId.get(id);
    for (const lane of lanes) {
      const loop = trace.loops[lane.loop];
      lane.title = lane.isLoop ? "loop " + loop[1] : lane.name || (lane.origin ? shortOrigin(lane.origin) : "task");
      lane.label = lane.isLoop ? lane.title : lane.name || lane.origin ? lane.title + " #" + lane.id : "#" + lane.id;
      lane.text = (lane.label + " " + (lane.origin || "")).toLowerCase();
      for (let i = lane.span0; i < lane.span1; i++) {
        const length = end[i] - start[i];
        switch (state[i]) {
        case RUN:
          lane.runs++;
          lane.runTime += length;
          if (lane.longest < 0 || length > end[lane.longest] - start[lane.longest]) lane.longest = i;
          break;
        case READY:
          lane.readyTime += length;
          if (lane.latest < 0 || length > end[lane.latest] - start[lane.latest]) lane.latest = i;
          second[i] = wakerLane(lane, first[i]);
          break;
        case WORK: lane.runTime += length; break;
        default: lane.waitTime += length;
        }
      }
    }
    function shortOrigin(origin) {
      return origin.length > 60 ? origin.slice(0, 59) + "…" : origin;
    }
    /// The lane where an arrow begins; -1: none.
    function wakerLane(lane, code) {
      if (code === 0) return -1;
      if (code < 4) return loopLanes.find(other => other.loop === lane.loop)?.index ?? -1;
      return laneOf(lane.loop, code - 4)?.index ?? -1;
    }

    /// The first span of a lane that ends after a time.
    function spanAfter(lane, time) {
      let low = lane.span0, high = lane.span1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (end[middle] > time) high = middle; else low = middle + 1;
      }
      return low;
    }
    /// The first mark of a lane at a time or after.
    function markAfter(lane, time) {
      let low = lane.mark0, high = lane.mark1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (markTime[middle] >= time) high = middle; else low = middle + 1;
      }
      return low;
    }

    /// How long the tasks ran in each of so many equal parts of the recording, per loop's thread.
    const buckets = 1024;
    const busyness = new Float32Array(buckets), longness = new Uint8Array(buckets);
    (() => {
      const width = duration / buckets;
      for (const lane of taskLanes) {
        for (let i = lane.span0; i < lane.span1; i++) {
          if (state[i] !== RUN) continue;
          const isLong = end[i] - start[i] >= LONG;
          let bucket = Math.min(buckets - 1, Math.floor(start[i] / width));
          for (let time = start[i]; ; bucket++) {
            const limit = Math.min(end[i], (bucket + 1) * width);
            busyness[bucket] += (limit - time) / width / Math.max(loopLanes.length, 1);
            if (isLong) longness[bucket] = 1;
            time = limit;
            if (time >= end[i] || bucket >= buckets - 1) break;
          }
        }
      }
    })();

    // Words.
    function time(nanoseconds, digits = 3) {
      const value = Math.abs(nanoseconds);
      const [factor, unit] = value < 1e3 ? [1, "ns"] : value < 1e6 ? [1e3, "µs"] : value < 1e9 ? [1e6, "ms"]
        : [1e9, "s"];
      const scaled = nanoseconds / factor;
      const before = Math.floor(Math.log10(Math.max(Math.abs(scaled), 1)));
      const places = unit === "ns" ? 0 : Math.max(0, digits - 1 - before);
      return scaled.toFixed(places).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") + " " + unit;
    }
    /// A moment, to the microsecond.
    const moment = nanoseconds => (nanoseconds / 1e6).toLocaleString("en-US",
      { minimumFractionDigits: 3, maximumFractionDigits: 3 }) + " ms";
    const count = number => number.toLocaleString("en-US");
    const percent = share => share > 0 && share < 0.001 ? "< 0.1 %" : (share * 100).toFixed(share < 0.1 ? 1 : 0) + " %";
    const times = number => number === 1 ? "once" : number === 2 ? "twice" : count(number) + " times";

    """#
