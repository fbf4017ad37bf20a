/// What people do: keys, wheel, fingers, search.
let pageControls: StaticString = #"""
    // What is shown.
    function move(from, to) {
      const least = 50;
      let length = Math.min(Math.max(to - from, least), duration);
      if (to - from < least) from = (from + to) / 2 - length / 2;
      view.from = Math.min(Math.max(from, 0), duration - length);
      view.to = view.from + length;
      if (view.hover) unhover();
      redraw();
    }
    function zoom(factor, x = view.gutter + (view.width - view.gutter) / 2) {
      const at = Math.min(Math.max(timeAt(x), view.from), view.to);
      move(at - (at - view.from) / factor, at + (view.to - at) / factor);
    }
    const pan = share => move(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);
    const center = moment => {
      const half = (view.to - view.from) / 2;
      move(moment - half, moment + half);
    };
    function showSpan(lane, i) {
      view.span = i;
      const margin = Math.max((end[i] - start[i]) * 0.4, 500);
      if (view.chosen !== lane.index) choose(lane.index, true);
      move(start[i] - margin, end[i] + margin);
      reveal(lane.index);
    }
    function reveal(index) {
      const row = view.rowOf[index];
      if (row < 0) return;
      const y = row * view.row;
      if (y < view.scroll) view.scroll = y - view.row;
      else if (y + view.row * 2 > view.scroll + visibleHeight()) view.scroll = y + view.row * 3 - visibleHeight();
      redraw();
    }

    function choose(index, reveals) {
      view.chosen = index;
      if (index >= 0) {
        openPanel("story");
        tell(lanes[index]);
        if (reveals) {
          if (view.rowOf[index] < 0 && !view.pinned.includes(index)) search("");
          reveal(index);
        }
      } else {
        tell(null);
        if (!element("story").hidden) closePanel();
      }
      redraw();
    }
    function openPanel(which) {
      const wasHidden = element("panel").hidden;
      element("panel").hidden = false;
      for (const [tab, page] of [["storytab", "story"], ["statstab", "statistics"]]) {
        element(page).hidden = page !== which;
        element(tab).setAttribute("aria-selected", page === which);
      }
      element("stats").setAttribute("aria-pressed", which === "statistics");
      if (which === "statistics") showStatistics();
      if (wasHidden) redraw();
    }
    function closePanel() {
      element("panel").hidden = true;
      element("stats").setAttribute("aria-pressed", false);
      redraw();
    }

    /// Which lanes are shown, in which order.
    function arrange() {
      const words = element("search").value.trim().toLowerCase().split(/\s+/).filter(word => word);
      const wanted = new Map(words.map(word => [word, new Set(strings.flatMap((text, n) =>
        n > 0 && text.toLowerCase().includes(word) ? [n] : []))]));
      const matches = lane => words.every(word => word[0] === "#" ? "#" + lane.id === word : lane.text.includes(word)
        || String(lane.id) === word || overlaps(lane.targets, wanted.get(word)));
      let shown = words.length ? taskLanes.filter(matches) : [...taskLanes];
      const key = { run: lane => -lane.runTime, runs: lane => -lane.runs, name: lane => lane.text,
        long: lane => lane.longest < 0 ? 0 : start[lane.longest] - end[lane.longest],
        late: lane => lane.latest < 0 ? 0 : start[lane.latest] - end[lane.latest] }[element("order").value];
      if (key) shown.sort((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.index - b.index);
      view.pinned = loopLanes.length <= 3 ? loopLanes.map(lane => lane.index) : [];
      view.rows = shown.map(lane => lane.index);
      if (loopLanes.length > 3) view.rows = [...loopLanes.map(lane => lane.index), ...view.rows];
      view.rowOf.fill(-1);
      view.rows.forEach((index, row) => view.rowOf[index] = row);
      element("found").textContent = words.length ? count(shown.length) + " of " + count(taskLanes.length) : "";
      element("empty").hidden = shown.length > 0;
      element("empty").textContent = taskLanes.length ? "No task matches." : "No task ran while this was recorded.";
      redraw();
    }
    function overlaps(some, others) {
      for (const one of some) if (others.has(one)) return true;
      return false;
    }
    function search(text) {
      element("search").value = text;
      view.scroll = 0;
      arrange();
    }

    // Pointing.
    function spanAtPoint(lane, x) {
      if (!lane || x < view.gutter) return -1;
      const moment = timeAt(x), slack = 2 / scale();
      let best = -1;
      for (let i = spanAfter(lane, moment - slack); i < lane.span1 && start[i] <= moment + slack; i++) {
        const distance = Math.max(start[i] - moment, moment - end[i], 0);
        const bestDistance = best < 0 ? Infinity : Math.max(start[best] - moment, moment - end[best], 0);
        if (distance < bestDistance || distance === bestDistance && weight[state[i]] > weight[state[best]]) best = i;
        if (i - best > 200) break;
      }
      return best;
    }
    function hover(x, y) {
      const lane = laneAt(y), i = spanAtPoint(lane, x);
      view.hover = { x, y, lane, span: i };
      const tip = element("tip");
      if (!lane || (i < 0 && x >= view.gutter)) tip.hidden = true;
      else {
        tip.replaceChildren(make("b", "", lane.label));
        const lines = i >= 0 ? explain(lane, i) : [lane.isLoop ? trace.loops[lane.loop][2] : "ran "
          + times(lane.runs) + ", " + time(lane.runTime) + " in all", ...lane.origin ? [lane.origin] : []];
        for (const line of lines) tip.append(make("span", "", line));
        tip.hidden = false;
        const width = tip.offsetWidth, height = tip.offsetHeight;
        tip.style.left = Math.max(4, x + 16 + width > view.width ? x - width - 12 : x + 16) + "px";
        tip.style.top = Math.max(4, y + 20 + height > view.height ? y - height - 12 : y + 20) + "px";
      }
      redraw();
    }
    function unhover() {
      view.hover = null;
      element("tip").hidden = true;
      redraw();
    }

    const fingers = new Map();
    let gesture = null;
    const place = event => {
      const box = stage.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    stage.addEventListener("pointerdown", event => {
      if (event.button > 0) return;
      const point = place(event);
      stage.setPointerCapture(event.pointerId);
      stage.focus({ preventScroll: true });
      fingers.set(event.pointerId, point);
      const bar = point.x > view.width - 12 && maximalScroll() > 0 && point.y > pinnedHeight();
      gesture = { moved: false, bar, from: view.from, to: view.to, scroll: view.scroll, start: point, pinch: pinch() };
    });
    function pinch() {
      if (fingers.size < 2) return null;
      const [a, b] = [...fingers.values()];
      return { x: (a.x + b.x) / 2, spread: Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y), 20) };
    }
    stage.addEventListener("pointermove", event => {
      const point = place(event);
      if (!fingers.has(event.pointerId)) return hover(point.x, point.y);
      fingers.set(event.pointerId, point);
      const { start: first } = gesture;
      if (!gesture.moved && Math.hypot(point.x - first.x, point.y - first.y) < 5) return;
      gesture.moved = true;
      stage.classList.add("drags");
      unhover();
      const two = pinch();
      if (two && gesture.pinch) {
        const length = Math.max((gesture.to - gesture.from) * gesture.pinch.spread / two.spread, 50);
        const width = view.width - view.gutter;
        const held = gesture.from + (gesture.pinch.x - view.gutter) / width * (gesture.to - gesture.from);
        const from = held - (two.x - view.gutter) / width * length;
        move(from, from + length);
      } else if (gesture.bar) {
        view.scroll = gesture.scroll + (point.y - first.y) * view.rows.length * view.row / visibleHeight();
      } else if (!two && !gesture.pinch) {
        const shift = first.x < view.gutter ? 0 : (first.x - point.x) / scale();
        move(gesture.from + shift, gesture.to + shift);
        view.scroll = gesture.scroll + first.y - point.y;
      }
      redraw();
    });
    function release(event) {
      const point = place(event), ended = gesture;
      fingers.delete(event.pointerId);
      if (fingers.size > 0) return;
      gesture = null;
      stage.classList.remove("drags");
      if (!ended || ended.moved || event.type === "pointercancel") return;
      const lane = laneAt(point.y);
      view.span = spanAtPoint(lane, point.x);
      choose(lane ? lane.index : -1, false);
      if (event.pointerType !== "mouse") unhover();
    }
    stage.addEventListener("pointerup", release);
    stage.addEventListener("pointercancel", release);
    stage.addEventListener("pointerleave", () => { if (!gesture) unhover(); });
    stage.addEventListener("dblclick", event => {
      const point = place(event), lane = laneAt(point.y), i = spanAtPoint(lane, point.x);
      if (i >= 0) showSpan(lane, i);
    });
    stage.addEventListener("wheel", event => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 24 : event.deltaMode === 2 ? 400 : 1, point = place(event);
      if (point.x < view.gutter && !event.ctrlKey) view.scroll += event.deltaY * unit;
      else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
        pan((event.deltaX || event.deltaY) * unit / 800);
      else zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0025)), point.x);
      hover(point.x, point.y);
    }, { passive: false });

    let strip = null;
    const stripTime = event => {
      const box = overview.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * duration;
    };
    overview.addEventListener("pointerdown", event => {
      overview.setPointerCapture(event.pointerId);
      const moment = stripTime(event), isPart = view.to - view.from < duration;
      const isInside = isPart && moment > view.from && moment < view.to;
      strip = { moment, from: view.from, to: view.to, isInside, moved: false };
    });
    overview.addEventListener("pointermove", event => {
      if (!strip) return;
      const moment = stripTime(event);
      strip.moved = strip.moved || Math.abs(moment - strip.moment) > duration / 300;
      if (!strip.moved) return;
      if (strip.isInside) move(strip.from + moment - strip.moment, strip.to + moment - strip.moment);
      else move(Math.min(moment, strip.moment), Math.max(moment, strip.moment));
    });
    overview.addEventListener("pointerup", event => {
      if (strip && !strip.moved) center(stripTime(event));
      strip = null;
    });

    """#
