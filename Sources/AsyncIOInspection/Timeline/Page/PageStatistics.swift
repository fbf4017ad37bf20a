/// Numbers for each loop and each task, and the legend.
let pageStatistics: StaticString = #"""
    const stateNames = ["runs", "ready, in the queue", "waits to read", "waits to write", "sleeps, for a timer",
      "other operation", "waits for a wake-up", "not known", "loop works", "loop sleeps"];

    function loopNumbers(lane) {
      const sum = { work: 0, seen: 0, sleeps: 0, ticks: 0, fired: 0, inbox: 0, jobs: 0, ready: 0, late: null,
        long: null };
      for (let i = lane.span0; i < lane.span1; i++) {
        sum.seen += end[i] - start[i];
        if (state[i] === WORK) sum.work += end[i] - start[i]; else if (state[i] === ASLEEP) sum.sleeps++;
      }
      for (let i = lane.mark0; i < lane.mark1; i++) {
        if (markKind[i] === TICK) sum.ticks++;
        if (markKind[i] === FIRED) sum.fired++;
        if (markKind[i] === INBOX) sum.inbox += markFirst[i];
      }
      const longer = (a, b) => !b || end[a[1]] - start[a[1]] > end[b[1]] - start[b[1]] ? a : b;
      for (const other of taskLanes) {
        if (other.loop !== lane.loop) continue;
        sum.jobs += other.runs;
        sum.ready += other.readyTime;
        if (other.longest >= 0) sum.long = longer([other, other.longest], sum.long);
        if (other.latest >= 0) sum.late = longer([other, other.latest], sum.late);
      }
      return sum;
    }

    const columns = [["Task", lane => lane.label.toLowerCase(), lane => lane.name || lane.label],
      ["Runs", lane => lane.runs, null],
      ["Run", lane => lane.runTime, lane => time(lane.runTime, 2)],
      ["Longest", lane => lane.longest < 0 ? 0 : end[lane.longest] - start[lane.longest], null],
      ["Waits", lane => lane.waitTime, lane => time(lane.waitTime, 2)]];
    columns[1][2] = lane => count(lane.runs);
    columns[3][2] = lane => time(columns[3][1](lane), 2);
    let sorting = 2, isDescending = true, shownRows = 200, statisticsAreMade = false;

    function showStatistics() {
      const page = element("statistics");
      page.replaceChildren();
      statisticsAreMade = true;
      for (const lane of loopLanes) {
        const numbers = loopNumbers(lane), busy = numbers.work / Math.max(numbers.seen, 1);
        page.append(make("h2", "", taskLink(lane)));
        const bar = make("div", "share"), part = make("i");
        part.style.cssText = "width:" + busy * 100 + "%;background:var(--run)";
        bar.append(part);
        page.append(bar);
        const list = make("dl");
        const late = numbers.late ? end[numbers.late[1]] - start[numbers.late[1]] : 0;
        for (const [word, value] of [["busy", percent(busy) + ", " + time(numbers.work)],
          ["turns", count(numbers.ticks) + ", " + count(Math.round(numbers.ticks / Math.max(numbers.seen / 1e9, 1e-9)))
            + " a second"], ["sleeps", count(numbers.sleeps)], ["runs of tasks", count(numbers.jobs)],
          ["lag: in the queue", time(numbers.jobs ? numbers.ready / numbers.jobs : 0) + " mean, " + time(late)
            + " at worst"],
          ["timers", count(numbers.fired)], ["from other threads", count(numbers.inbox)]])
          list.append(make("dt", "", word), make("dd", "", value));
        page.append(list);
      }
      page.append(make("h3", "", count(taskLanes.length) + (taskLanes.length === 1 ? " task" : " tasks")));
      const table = make("table"), head = make("tr"), body = make("tbody");
      columns.forEach(([word], index) => {
        const cell = make("th"), button = make("button", "", word);
        button.onclick = () => {
          isDescending = sorting === index ? !isDescending : index > 0;
          sorting = index;
          showStatistics();
        };
        cell.append(button);
        cell.setAttribute("aria-sort", index !== sorting ? "none" : isDescending ? "descending" : "ascending");
        head.append(cell);
      });
      table.append(make("thead", "", head), body);
      const key = columns[sorting][1], sign = isDescending ? -1 : 1;
      const compare = (a, b) => a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1].index - b[1].index;
      const sorted = taskLanes.map(lane => [key(lane), lane]).sort(compare);
      for (const [, lane] of sorted.slice(0, shownRows)) {
        const row = make("tr", lane.index === view.chosen ? "chosen" : "");
        for (const [index, column] of columns.entries()) {
          const cell = make("td", "", column[2](lane));
          if (index === 0) cell.title = lane.label;
          row.append(cell);
        }
        row.onclick = () => choose(lane.index, true);
        body.append(row);
      }
      page.append(table);
      if (sorted.length > shownRows) {
        const more = make("button", "", "All " + count(sorted.length));
        more.onclick = () => {
          shownRows = Infinity;
          showStatistics();
        };
        page.append(make("p", "", more));
      }
    }

    /// A drawn sample of each state that occurs.
    function drawLegend() {
      const found = new Array(10).fill(-1);
      let long = -1;
      for (let i = 0; i < total; i++) {
        const what = state[i];
        if (found[what] < 0) found[what] = i;
        if (what === RUN && long < 0 && end[i] - start[i] >= LONG) long = i; else if (what === RUN) found[RUN] = i;
      }
      const legend = element("legend");
      legend.replaceChildren();
      const sample = (i, words) => {
        const tile = make("canvas"), ratio = window.devicePixelRatio || 1;
        tile.width = 22 * ratio;
        tile.height = 16 * ratio;
        const brush = tile.getContext("2d");
        brush.scale(ratio, ratio);
        withPen(brush, () => drawSpan(i, 0, 22, { y: -1.5, height: 19 }));
        legend.append(make("span", "", tile, words));
      };
      for (const what of [RUN, READY, READ, WRITE, SLEEP, OTHER, PARKED, UNKNOWN, WORK, ASLEEP]) {
        if (found[what] >= 0) sample(found[what], stateNames[what]);
        if (what === RUN && long >= 0) sample(long, "runs 30 ms or longer");
      }
    }

    """#
