/// Keys and buttons, and the beginning of it all.
let pageKeys: StaticString = #"""
    function chooseBeside(step) {
      const all = [...view.pinned, ...view.rows], at = all.indexOf(view.chosen);
      const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
      if (all.length) {
        view.span = -1;
        choose(all[next], true);
      }
    }
    function chooseRun(step) {
      const lane = lanes[view.chosen];
      if (!lane) return;
      let i = view.span >= lane.span0 && view.span < lane.span1 ? view.span + step
        : step > 0 ? spanAfter(lane, view.from) : Math.min(spanAfter(lane, view.to), lane.span1 - 1);
      while (i >= lane.span0 && i < lane.span1 && state[i] !== (lane.isLoop ? WORK : RUN)) i += step;
      if (i >= lane.span0 && i < lane.span1) showSpan(lane, i);
    }
    function showLife() {
      const lane = lanes[view.chosen];
      if (!lane || lane.span1 === lane.span0) return;
      const from = start[lane.span0], to = end[lane.span1 - 1], margin = (to - from) * 0.03;
      move(from - margin, to + margin);
    }
    const actions = { "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6), "_": () => zoom(1 / 1.6),
      "ArrowLeft": () => pan(-0.2), "ArrowRight": () => pan(0.2), "PageUp": () => pan(-0.9), "PageDown": () => pan(0.9),
      "Home": () => move(0, view.to - view.from), "End": () => move(duration - view.to + view.from, duration),
      "0": () => move(0, duration), "ArrowUp": () => chooseBeside(-1), "ArrowDown": () => chooseBeside(1),
      "[": () => chooseRun(-1), "]": () => chooseRun(1), "Enter": showLife,
      "/": () => element("search").focus(), "s": () => element("stats").click(), "?": () => element("help").click(),
      "h": () => element("help").click(), "Escape": () => {
        view.span = -1;
        if (view.chosen >= 0) choose(-1); else closePanel();
        if (element("search").value) search("");
      } };
    document.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey || element("keys").open) return;
      const node = document.activeElement, isTyping = node && /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName);
      if (isTyping) {
        if (event.key === "Escape" && node.id === "search") {
          search("");
          stage.focus();
        } else if (event.key === "Enter" && node.id === "search") {
          stage.focus();
          if (view.rows.length) choose(view.rows[0], true);
        }
        return;
      }
      const pressesButton = event.key === "Enter" && node && (node.tagName === "BUTTON" || node.tagName === "A");
      const scrolls = node && node.classList.contains("page") && /^(Arrow|Page|Home|End)/.test(event.key);
      const action = pressesButton || scrolls ? null : actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    });
    element("search").addEventListener("input", () => search(element("search").value));
    element("order").addEventListener("change", () => {
      view.scroll = 0;
      arrange();
    });
    element("fit").onclick = () => move(0, duration);
    element("zoomin").onclick = () => zoom(1.6);
    element("zoomout").onclick = () => zoom(1 / 1.6);
    element("stats").onclick = () => {
      if (!element("panel").hidden && !element("statistics").hidden) closePanel(); else openPanel("statistics");
    };
    element("storytab").onclick = () => openPanel("story");
    element("statstab").onclick = () => openPanel("statistics");
    element("close").onclick = () => closePanel();
    element("help").onclick = () => element("keys").showModal();
    const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
    function recolour() {
      learnColours();
      drawLegend();
      redraw();
    }
    element("theme").onclick = () => {
      const root = document.documentElement;
      const isDark = root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
      root.dataset.theme = isDark ? "light" : "dark";
      recolour();
    };
    prefersDark.addEventListener("change", recolour);
    new ResizeObserver(redraw).observe(stage);
    new ResizeObserver(redraw).observe(overview);

    document.title = trace.title + " – timeline";
    element("title").textContent = trace.title;
    const loopWords = trace.loops.length === 1 ? "loop " + trace.loops[0][1] + " (" + trace.loops[0][2] + ")"
      : trace.loops.length + " loops";
    element("facts").textContent = [time(trace.duration), count(trace.events) + " events", count(taskLanes.length)
      + (taskLanes.length === 1 ? " task" : " tasks"), loopWords].join(" · ");
    element("facts").title = trace.program + ", process " + trace.process;
    const notes = [...trace.notes];
    if (trace.lost > 0) notes.unshift("The oldest " + count(trace.lost)
      + " events had to make room for newer ones: the timeline begins where all that is left begins.");
    element("notes").hidden = notes.length === 0;
    element("notes").textContent = notes.join(" ");
    tell(null);
    arrange();
    learnColours();
    draw();
    drawLegend();

    """#
