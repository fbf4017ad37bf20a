/// Explains spans and lives in sentences. Names only ever become text nodes.
let pageStories: StaticString = #"""
    function make(tag, className, ...parts) {
      const node = document.createElement(tag);
      if (className) node.className = className;
      node.append(...parts.filter(part => part !== null && part !== ""));
      return node;
    }
    function taskLink(lane) {
      const link = make("a", "task", lane.label);
      link.tabIndex = 0;
      link.setAttribute("role", "button");
      link.onclick = () => choose(lane.index, true);
      link.onkeydown = event => { if (event.key === "Enter" || event.key === " ") link.onclick(); };
      return link;
    }
    const nameOf = (loop, id) => laneOf(loop, id) ? taskLink(laneOf(loop, id)) : "task #" + id;

    /// `for the lock "accounts", held by transfer #7`
    function placeWords(i) {
      const kind = strings[first[i]], name = strings[second[i]], holder = third[i];
      if (kind === "turn") return "for its next turn: it lets the others go first";
      return (/^(lock|server|loop|scope)/.test(kind) ? "for the " : "at the ") + kind + (name ? " “" + name + "”" : "")
        + (holder ? ", for " + (byId.get(holder)?.label || "task #" + holder) : "");
    }
    /// `to read from 10.0.0.1:4000`
    function purpose(i) {
      const operation = state[i] === READY ? "" : strings[first[i]] || "", target = strings[second[i]];
      switch (state[i]) {
      case PARKED: return operation ? placeWords(i) : "for somebody to wake it";
      case UNKNOWN: return "for something that was not recorded";
      case SLEEP: return "for a timer";
      }
      switch (operation) {
      case "read": return target ? "to read from " + target : "to read";
      case "write": return target ? "to write to " + target : "to write";
      case "accept": return "for a connection" + (target ? " " + target : "");
      case "connect": return "to connect";
      default: return "to " + operation + (target ? ", " + target : "");
      }
    }
    function spanTitle(i) {
      const target = strings[second[i]];
      switch (state[i]) {
      case RUN: return "runs";
      case READY: return "ready";
      case PARKED: return first[i] ? strings[first[i]] + (target ? " " + target : "") : "waits for a wake-up";
      case UNKNOWN: return "not known";
      case WORK: return "works";
      case ASLEEP: return "sleeps";
      case SLEEP: return "sleeps";
      default: return (strings[first[i]] || "waits") + (target ? " " + target : "");
      }
    }
    function wakerName(lane, i) {
      switch (first[i]) {
      case 0: return "nobody that was seen";
      case 1: return "the end of its operation";
      case 2: return "a timer";
      case 3: return "another thread";
      default: return nameOf(lane.loop, first[i] - 4);
      }
    }
    const plain = node => typeof node === "string" ? node : node.textContent;
    /// What a wait has come to.
    function outcome(i) {
      const result = third[i], operation = strings[first[i]];
      if (state[i] === SLEEP || result === -11 || result === 0 && operation !== "read") return "";
      if (result < 0) return "error " + -result;
      return operation === "read" && result === 0 ? "" : operation === "read" || operation === "write"
        ? count(result) + (result === 1 ? " byte" : " bytes") : "";
    }

    // What a span says when it is pointed at.
    function explain(lane, i) {
      const length = time(end[i] - start[i]), lines = [];
      const next = i + 1 < lane.span1 ? i + 1 : -1;
      const isOpen = !lane.over && i === lane.span1 - 1;
      switch (state[i]) {
      case RUN:
        lines.push("Runs for " + length + (end[i] - start[i] >= LONG ? ": nobody else has a turn meanwhile" : ""));
        if (i > lane.span0 && state[i - 1] === READY) lines.push("Woken by " + plain(wakerName(lane, i - 1)) + ", "
          + time(end[i - 1] - start[i - 1]) + " before");
        break;
      case READY:
        lines.push("Ready: stands in the queue for " + length);
        lines.push("Woken by " + plain(wakerName(lane, i)));
        break;
      case WORK: lines.push("Works for " + length); break;
      case ASLEEP: lines.push("Sleeps for " + length + ": nothing is ready"); break;
      default:
        lines.push("Waits " + purpose(i) + ", " + length + (isOpen ? " and on" : ""));
        if (next >= 0 && state[next] === READY) lines.push("Woken by " + plain(wakerName(lane, next)));
        if (outcome(i)) lines.push("Result: " + outcome(i));
      }
      lines.push("From " + moment(start[i]) + " to " + moment(end[i]));
      return lines;
    }

    // The life of a task, or of a loop.
    function tell(lane) {
      const page = element("story");
      page.replaceChildren();
      if (!lane) {
        page.append(make("p", "dim", "Choose a lane, or a task in the statistics: its life is told here."));
        return;
      }
      page.append(make("h2", "", lane.label));
      const loop = trace.loops[lane.loop];
      page.append(make("p", "dim", lane.isLoop ? loop[2] + ", thread " + loop[3] : "on loop " + loop[1]
        + (lane.origin ? ", begins in " + lane.origin : "")));
      shares(page, lane);
      for (const sentence of lane.isLoop ? loopSentences(lane) : taskSentences(lane))
        page.append(make("p", "", ...sentence));
      page.append(make("h3", "", "Step by step"));
      stepList(page, lane);
      page.scrollTop = 0;
    }

    function shares(page, lane) {
      const sums = new Array(10).fill(0);
      let all = 0;
      for (let i = lane.span0; i < lane.span1; i++) {
        sums[state[i]] += end[i] - start[i];
        all += end[i] - start[i];
      }
      if (all <= 0) return;
      const bar = make("div", "share"), legend = make("div", "keyed");
      sums.forEach((sum, what) => {
        if (sum <= 0) return;
        const part = make("i");
        part.style.cssText = "width:" + sum / all * 100 + "%;background:var(" + names[what] + ")";
        bar.append(part);
        const swatch = make("span", "swatch");
        swatch.style.background = "var(" + names[what] + ")";
        legend.append(make("span", "", swatch, stateNames[what] + " " + percent(sum / all)));
      });
      page.append(bar, legend);
    }

    function taskSentences(lane) {
      const said = [];
      const end0 = lane.span1 > lane.span0 ? end[lane.span1 - 1] : duration;
      const born = lane.first === null ? ["It was there before the recording began"]
        : lane.creator ? ["It was created by ", nameOf(lane.loop, lane.creator), " at " + moment(lane.first)]
        : ["It was first seen at " + moment(lane.first)];
      if (lane.parent) born.push(...lane.parent === lane.creator && lane.first !== null ? [", as its child"]
        : [", as a child of ", nameOf(lane.loop, lane.parent)]);
      born.push(lane.over ? ", and ended at " + moment(end0) + (lane.first === null ? "."
        : ", " + time(end0 - lane.first) + " later.") : ", and has not ended.");
      said.push(born);
      if (lane.runs > 0) {
        const long = end[lane.longest] - start[lane.longest];
        said.push(["It ran " + times(lane.runs) + (lane.runs > 1 ? ", " : " for ") + time(lane.runTime)
          + (lane.runs > 1 ? " in all. The longest run took " + time(long) + ", at " : ", at "),
        spanLink(lane, lane.longest), "."]);
        if (long >= LONG) said.push([make("b", "", "It kept the loop for " + time(long)
          + " without a break."), " Nobody else could run, no timer fire. What blocks belongs on another thread: ",
        make("code", "", "await offload { … }"), "."]);
      } else said.push(["It did not run."]);
      for (const group of waits(lane)) {
        const more = group.count > 1 ? " (" + times(group.count) + ", the longest " + time(group.longest) + ")" : "";
        said.push(["It waited " + time(group.sum) + " ", ...group.words, more + "."]);
      }
      if (lane.readyTime > 0) said.push(["It stood in the queue for " + time(lane.readyTime) + " in all, at worst for "
        + time(end[lane.latest] - start[lane.latest]) + ", at ", spanLink(lane, lane.latest), "."]);
      const last = lane.span1 - 1;
      if (!lane.over && last >= lane.span0 && state[last] >= READ)
        said.push(["At the end of the recording it still waits " + purpose(last) + ", since " + moment(start[last])
          + "."]);
      return said;
    }

    /// The waits of a task, those for the same thing together, the longest first.
    function waits(lane) {
      const groups = new Map();
      for (let i = lane.span0; i < lane.span1; i++) {
        if (state[i] < READ || state[i] > UNKNOWN) continue;
        const next = i + 1 < lane.span1 && state[i + 1] === READY ? i + 1 : -1;
        const waker = state[i] === PARKED && !first[i] && next >= 0 ? first[next] : -1;
        const key = state[i] + "/" + first[i] + "/" + second[i] + "/" + waker;
        const length = end[i] - start[i];
        let group = groups.get(key);
        if (!group) {
          const words = waker >= 0 && !first[i] ? ["until it was woken by ", wakerName(lane, next)] : [purpose(i)];
          groups.set(key, group = { sum: 0, count: 0, longest: 0, words });
        }
        group.sum += length;
        group.count++;
        group.longest = Math.max(group.longest, length);
      }
      const sorted = [...groups.values()].sort((a, b) => b.sum - a.sum);
      if (sorted.length <= 8) return sorted;
      const rest = sorted.slice(7);
      return [...sorted.slice(0, 7), { words: ["for other things"],
        sum: rest.reduce((sum, group) => sum + group.sum, 0),
        count: rest.reduce((sum, group) => sum + group.count, 0),
        longest: Math.max(...rest.map(group => group.longest)) }];
    }

    function loopSentences(lane) {
      const numbers = loopNumbers(lane), said = [];
      said.push(["It was at work for " + time(numbers.work) + ", " + percent(numbers.work / Math.max(numbers.seen, 1))
        + " of the time; the rest it slept in the system" + (numbers.sleeps ? ", " + times(numbers.sleeps) : "")
        + "."]);
      said.push(["It made " + count(numbers.ticks) + " turns, in which tasks ran " + times(numbers.jobs)
        + ". Timers fired "
        + times(numbers.fired) + ", other threads called " + times(numbers.inbox) + "."]);
      if (numbers.long) said.push(["The longest run was "
        + time(end[numbers.long[1]] - start[numbers.long[1]]) + ", of ", taskLink(numbers.long[0]),
        ", at ", spanLink(...numbers.long), "."]);
      if (numbers.late) said.push(["The longest time in the queue was "
        + time(end[numbers.late[1]] - start[numbers.late[1]]) + ", of ", taskLink(numbers.late[0]), ", at ",
      spanLink(...numbers.late), "."]);
      return said;
    }

    function spanLink(lane, i) {
      const link = make("a", "task", moment(start[i]));
      link.tabIndex = 0;
      link.setAttribute("role", "button");
      link.onclick = () => showSpan(lane, i);
      link.onkeydown = event => { if (event.key === "Enter" || event.key === " ") link.onclick(); };
      return link;
    }

    /// The spans and marks of a lane in order, a part at a time.
    function stepList(page, lane) {
      const list = make("ol", "steps"), part = 150;
      let span = lane.span0, mark = lane.mark0;
      const more = make("button", "", "More steps");
      more.onclick = () => {
        for (let n = 0; n < part && (span < lane.span1 || mark < lane.mark1); n++) {
          const takesMark = mark < lane.mark1 && (span >= lane.span1 || markTime[mark] < start[span]);
          list.append(takesMark ? markStep(mark++) : spanStep(lane, span++));
        }
        more.hidden = span >= lane.span1 && mark >= lane.mark1;
      };
      page.append(list, more);
      more.onclick();
    }
    function step(when, colour, text, action) {
      const button = make("button", "", make("time", "", moment(when)));
      const swatch = make("i", "swatch");
      swatch.style.background = colour;
      button.append(make("span", "", swatch, text));
      button.onclick = action;
      return make("li", "", button);
    }
    function markStep(i) {
      const target = strings[markSecond[i]], number = markFirst[i];
      const text = markKind[i] === DID ? (strings[number] || "operation") + (target ? " " + target : "")
        + ": done at once" : markKind[i] === TICK ? "turn, " + count(number) + " ready"
        : markKind[i] === FIRED ? "a timer fires"
        : markKind[i] === INBOX ? count(number) + " from other threads" : count(number) + " from the system";
      return step(markTime[i], "var(--dim)", text, () => center(markTime[i]));
    }
    function spanStep(lane, i) {
      const length = time(end[i] - start[i]);
      const text = state[i] === RUN ? "runs for " + length : state[i] === READY
        ? "ready, woken by " + plain(wakerName(lane, i)) + "; " + length + " in the queue"
        : state[i] === WORK ? "works for " + length : state[i] === ASLEEP ? "sleeps for " + length
        : "waits " + length + " " + purpose(i) + (outcome(i) ? ": " + outcome(i) : "");
      const isLong = state[i] === RUN && end[i] - start[i] >= LONG;
      return step(start[i], "var(" + (isLong ? "--long" : names[state[i]]) + ")", text, () => showSpan(lane, i));
    }

    """#
