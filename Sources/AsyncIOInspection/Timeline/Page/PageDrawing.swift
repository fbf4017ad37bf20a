/// Draws what is visible, and nothing else.
let pageDrawing: StaticString = #"""
    const stage = element("stage"), canvas = element("lanes");
    let pen = canvas.getContext("2d");
    function withPen(other, action) {
      const saved = pen;
      pen = other;
      action();
      pen = saved;
    }
    const overview = element("overview"), overviewPen = overview.getContext("2d");
    const view = { from: 0, to: duration, scroll: 0, chosen: -1, hover: null, rows: [], pinned: [],
      rowOf: new Int32Array(lanes.length), gutter: 190, row: 27, top: 26, width: 0, height: 0, small: false, span: -1 };
    const names = ["--run", "--ready", "--read", "--write", "--sleep", "--other", "--parked", "--unknown", "--work",
      "--asleep"];
    let colours = {}, patterns = {}, isDirty = false, painted = false, arrowsDrawn = 0;

    function learnColours() {
      const style = getComputedStyle(document.documentElement);
      const get = name => style.getPropertyValue(name).trim();
      colours = { states: names.map(get) };
      for (const name of ["back", "panel", "line", "text", "dim", "hover", "chosen", "accent", "long", "onrun"])
        colours[name] = get("--" + name);
      patterns = {};
      for (const what of [READY, SLEEP, OTHER, PARKED, UNKNOWN]) patterns[what] = pattern(what, colours.states[what]);
      patterns.long = pattern(READY, colours.onrun, colours.long);
    }

    /// Shapes tell the states apart where colours do not.
    function pattern(what, colour, ground) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 8;
      const brush = tile.getContext("2d");
      if (ground) {
        brush.fillStyle = ground;
        brush.fillRect(0, 0, 8, 8);
        brush.globalAlpha = 0.35;
      }
      brush.strokeStyle = brush.fillStyle = colour;
      brush.lineWidth = what === READY ? 2.4 : 1.6;
      if (what === SLEEP) {
        brush.fillRect(1, 2, 3, 3);
      } else if (what === UNKNOWN) {
        brush.fillRect(1, 3, 2, 2);
      } else if (what === OTHER) {
        brush.fillRect(0, 2, 5, 3);
      } else {
        brush.beginPath();
        const [a, b] = what === READY ? [0, 8] : [8, 0];
        for (const shift of [-8, 0, 8]) {
          brush.moveTo(shift + a, 8);
          brush.lineTo(shift + b, 0);
        }
        brush.stroke();
      }
      return pen.createPattern(tile, "repeat");
    }

    function fit(target, brush) {
      const box = target.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
      const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
      if (target.width !== width || target.height !== height) {
        target.width = width;
        target.height = height;
      }
      brush.setTransform(ratio, 0, 0, ratio, 0, 0);
      return box;
    }

    function redraw() {
      if (isDirty) return;
      isDirty = true;
      requestAnimationFrame(() => {
        isDirty = false;
        draw();
      });
    }

    // Where things are.
    const scale = () => (view.width - view.gutter) / (view.to - view.from);
    const xOf = moment => view.gutter + (moment - view.from) * scale();
    const timeAt = x => view.from + (x - view.gutter) / scale();
    const pinnedHeight = () => view.top + view.pinned.length * view.row;
    const visibleHeight = () => view.height - pinnedHeight();
    const maximalScroll = () => Math.max(0, view.rows.length * view.row - visibleHeight());
    /// The top of a lane, also outside of what is visible; null: it is filtered out.
    function yOf(index) {
      const pinned = view.pinned.indexOf(index);
      if (pinned >= 0) return view.top + pinned * view.row;
      const row = view.rowOf[index];
      return row < 0 ? null : pinnedHeight() + row * view.row - view.scroll;
    }
    function laneAt(y) {
      if (y < view.top) return null;
      if (y < pinnedHeight()) return lanes[view.pinned[Math.floor((y - view.top) / view.row)]] || null;
      return lanes[view.rows[Math.floor((y - pinnedHeight() + view.scroll) / view.row)]] || null;
    }

    function draw() {
      const box = fit(canvas, pen);
      view.width = box.width;
      view.height = box.height;
      view.small = box.width < 620;
      view.gutter = view.small ? 0 : Math.min(230, Math.max(150, box.width * 0.17));
      const few = (box.height - view.top) / Math.max(1, view.rows.length + view.pinned.length);
      view.row = view.small ? 45 : Math.round(Math.min(38, Math.max(28, few)));
      view.scroll = Math.min(Math.max(view.scroll, 0), maximalScroll());
      pen.fillStyle = colours.back;
      pen.fillRect(0, 0, view.width, view.height);
      pen.textBaseline = "middle";
      drawGrid();
      const firstRow = Math.floor(view.scroll / view.row);
      const lastRow = Math.min(view.rows.length, Math.ceil((view.scroll + visibleHeight()) / view.row));
      pen.save();
      pen.beginPath();
      pen.rect(0, pinnedHeight(), view.width, visibleHeight());
      pen.clip();
      for (let row = firstRow; row < lastRow; row++) drawLane(lanes[view.rows[row]]);
      pen.restore();
      for (const index of view.pinned) drawLane(lanes[index]);
      drawArrows(firstRow, lastRow);
      drawRuler();
      drawScrollbar();
      drawOverview();
      if (!painted) {
        painted = true;
        document.documentElement.dataset.painted = Math.round(performance.now());
      }
    }

    function steps() {
      const wanted = (view.to - view.from) / Math.max(2, (view.width - view.gutter) / 110);
      const power = Math.pow(10, Math.floor(Math.log10(wanted)));
      return [1, 2, 5, 10].map(factor => factor * power).find(step => step >= wanted);
    }

    function drawGrid() {
      const step = steps();
      pen.fillStyle = colours.line;
      for (let mark = Math.ceil(view.from / step) * step; mark < view.to; mark += step)
        pen.fillRect(Math.round(xOf(mark)), view.top, 1, view.height);
    }

    function drawRuler() {
      pen.fillStyle = colours.panel;
      pen.fillRect(0, 0, view.width, view.top);
      pen.fillStyle = colours.line;
      pen.fillRect(0, view.top - 1, view.width, 1);
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "left";
      const step = steps();
      for (let mark = Math.ceil(view.from / step) * step; mark < view.to; mark += step) {
        const x = Math.round(xOf(mark));
        pen.fillStyle = colours.line;
        pen.fillRect(x, 0, 1, view.top);
        pen.fillStyle = colours.dim;
        pen.fillText(axisText(mark, step), x + 5, view.top / 2);
      }
      if (view.gutter > 0) {
        pen.fillStyle = colours.panel;
        pen.fillRect(0, 0, view.gutter - 1, view.top - 1);
        pen.fillStyle = colours.dim;
        pen.fillText(time(view.to - view.from) + " shown", 10, view.top / 2);
      }
      if (view.hover && view.hover.x >= view.gutter) {
        pen.fillStyle = colours.accent;
        pen.fillRect(view.hover.x, 0, 1, view.height);
      }
    }

    /// A time in the unit of the steps, with as many digits as tell them apart.
    function axisText(mark, step) {
      const [factor, unit] = view.to < 1e4 ? [1, "ns"] : view.to < 2e6 ? [1e3, "µs"] : view.to < 1e9 || step < 1e5
        ? [1e6, "ms"] : [1e9, "s"];
      const digits = Math.max(0, -Math.floor(Math.log10(step / factor) + 1e-9));
      return (mark / factor).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
        + " " + unit;
    }

    function drawLane(lane) {
      const y = yOf(lane.index), isChosen = lane.index === view.chosen;
      if (isChosen || view.hover?.lane === lane) {
        pen.fillStyle = isChosen ? colours.chosen : colours.hover;
        pen.fillRect(0, y, view.width, view.row);
      } else if (lane.isLoop) {
        pen.fillStyle = colours.panel;
        pen.fillRect(0, y, view.width, view.row);
      }
      pen.fillStyle = colours.line;
      pen.fillRect(0, y + view.row - 1, view.width, 1);
      const bar = { y: y + (view.small ? 17 : 4), height: view.small ? 23 : view.row - 9 };
      pen.save();
      pen.beginPath();
      pen.rect(view.gutter, y, view.width - view.gutter, view.row);
      pen.clip();
      drawSpans(lane, bar);
      drawMarks(lane, bar);
      pen.restore();
      drawLabel(lane, y);
    }

    function drawLabel(lane, y) {
      pen.textAlign = "left";
      const middle = view.small ? y + 9 : y + view.row / 2;
      const room = view.small ? view.width - 16 : view.gutter - 18;
      pen.font = (lane.isLoop ? "600 " : "") + (view.small ? "11px" : "13px") + " system-ui, sans-serif";
      pen.fillStyle = colours.text;
      const number = lane.isLoop || lane.label === "#" + lane.id ? "" : "#" + lane.id;
      pen.save();
      pen.beginPath();
      pen.rect(0, y, view.small ? view.width : view.gutter - 6, view.row);
      pen.clip();
      if (view.small) {
        const width = widthOf(lane.label);
        pen.globalAlpha = 0.8;
        pen.fillStyle = lane.index === view.chosen ? colours.chosen : lane.isLoop ? colours.panel : colours.back;
        pen.fillRect(0, y + 1, width + 14, 15);
        pen.globalAlpha = 1;
        pen.fillStyle = colours.text;
        pen.fillText(lane.label, 8, middle);
      } else {
        pen.font = "11px system-ui, sans-serif";
        const numberWidth = number ? widthOf(number) + 8 : 0;
        pen.fillStyle = colours.dim;
        if (number) pen.fillText(number, view.gutter - 8 - numberWidth + 8, middle);
        pen.font = (lane.isLoop ? "600 " : "") + "13px system-ui, sans-serif";
        pen.fillStyle = lane.name || lane.isLoop ? colours.text : colours.dim;
        const title = lane.label === "#" + lane.id ? lane.label : lane.title;
        pen.fillText(cut(title, room - numberWidth), 10, middle);
      }
      pen.restore();
    }

    /// To measure a text takes longer than to draw it.
    const widths = new Map();
    function widthOf(text) {
      const key = pen.font + text;
      let width = widths.get(key);
      if (width === undefined) {
        if (widths.size > 20000) widths.clear();
        widths.set(key, width = pen.measureText(text).width);
      }
      return width;
    }
    function cut(text, width) {
      const whole = widthOf(text);
      if (whole <= width) return text;
      let length = Math.max(1, Math.floor(text.length * (width - 8) / whole));
      while (length > 1 && widthOf(text.slice(0, length) + "…") > width) length--;
      return text.slice(0, length) + "…";
    }

    // What counts more, where several spans share a pixel.
    const weight = [9, 8, 4, 4, 2, 4, 3, 1, 7, 1];

    /// Spans that are narrower than a pixel share one; within a pixel that shows a run, the rest is jumped over.
    function drawSpans(lane, bar) {
      const k = scale(), from = view.from, left = view.gutter, limit = lane.span1;
      let pixel = -1, best = -1, i = spanAfter(lane, from);
      const flush = () => {
        if (best >= 0) drawSpan(best, pixel + left, 1, bar);
        best = -1;
      };
      while (i < limit && start[i] <= view.to) {
        const x = (start[i] - from) * k, width = (end[i] - start[i]) * k;
        if (width >= 1.5) {
          flush();
          const shown = Math.max(x, -4);
          drawSpan(i, shown + left, Math.min(x + width, view.width - left + 4) - shown, bar);
          i++;
          continue;
        }
        const at = Math.max(0, Math.floor(x));
        if (at !== pixel) {
          flush();
          pixel = at;
        }
        if (best < 0 || weight[state[i]] > weight[state[best]]) best = i;
        if (weight[state[best]] === 9 || lane.isLoop && weight[state[best]] === 7) {
          const next = spanAfter(lane, from + (at + 1) / k);
          i = next > i ? next : i + 1;
        } else i++;
      }
      flush();
    }

    function drawSpan(i, x, width, bar) {
      const what = state[i];
      let y = bar.y, height = bar.height;
      switch (what) {
      case RUN:
        pen.fillStyle = end[i] - start[i] >= LONG ? (width > 3 ? patterns.long : colours.long) : colours.states[RUN];
        pen.fillRect(x, y, Math.max(width, 1), height);
        break;
      case READY:
        y += 2;
        height -= 4;
        pen.fillStyle = width > 4 ? patterns[READY] : colours.states[READY];
        pen.fillRect(x, y, Math.max(width, 1), height);
        if (width > 4) {
          pen.strokeStyle = colours.states[READY];
          pen.lineWidth = 1;
          pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
        }
        break;
      case WORK:
        pen.fillStyle = colours.states[WORK];
        pen.fillRect(x, y + 2, Math.max(width, 0.6), height - 4);
        break;
      case ASLEEP:
        pen.fillStyle = colours.states[ASLEEP];
        pen.fillRect(x, y + height / 2 - 1, width, 2);
        break;
      default:
        y += 2;
        height -= 4;
        pen.fillStyle = colours.states[what];
        if (what !== UNKNOWN && width > 2) {
          pen.globalAlpha = 0.22;
          pen.fillRect(x, y, width, height);
          pen.globalAlpha = 1;
        }
        // Below the words: a line, two lines, dots, dashes.
        y += height - 5;
        if (width > 4 && patterns[what]) {
          pen.fillStyle = patterns[what];
          pen.save();
          pen.translate(0, y);
          pen.fillRect(x, 0, width, 5);
          pen.restore();
        } else if (what === WRITE) {
          pen.fillRect(x, y, width, 2);
          pen.fillRect(x, y + 3, width, 2);
        } else pen.fillRect(x, y + 2, width, 3);
      }
      if (i === view.span && width > 1) {
        pen.strokeStyle = colours.text;
        pen.lineWidth = 2;
        pen.strokeRect(x, bar.y, width, bar.height);
      }
      if (width > 46) drawWords(i, x, width, bar);
    }

    function drawWords(i, x, width, bar) {
      const left = Math.max(x, view.gutter) + 6, right = Math.min(x + width, view.width) - 6;
      if (right - left < 34) return;
      const what = state[i];
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "left";
      const whole = spanTitle(i) + (what === RUN ? " " + time(end[i] - start[i]) : "");
      const text = cut(whole, right - left);
      if (text.length < Math.min(whole.length, 13)) return;
      const isSolid = what === RUN || what === WORK, isWait = what >= READ && what <= UNKNOWN;
      const middle = bar.y + bar.height / 2 + (isWait ? -1.5 : 0.5);
      if (isSolid) pen.fillStyle = what === RUN ? colours.onrun : colours.back;
      else {
        if (!isWait) {
          // Behind the letters, so that no pattern runs through them.
          pen.fillStyle = lanes[view.chosen]?.isLoop ? colours.chosen : what === READY ? colours.back : colours.panel;
          pen.globalAlpha = 0.9;
          pen.fillRect(left - 3, bar.y + 3, widthOf(text) + 6, bar.height - 6);
          pen.globalAlpha = 1;
        }
        pen.fillStyle = what === ASLEEP || what === UNKNOWN ? colours.dim : colours.text;
      }
      pen.fillText(text, left, middle);
    }

    function drawMarks(lane, bar) {
      let last = -10;
      for (let i = markAfter(lane, view.from); i < lane.mark1 && markTime[i] <= view.to; i++) {
        const kind = markKind[i], x = xOf(markTime[i]);
        if (x - last < 4) {
          const next = markAfter(lane, timeAt(last + 4));
          i = Math.max(i, next - 1);
          continue;
        }
        last = x;
        if (kind === DID) {
          const run = spanAfter(lane, markTime[i]);
          if (run >= lane.span1 || (end[run] - start[run]) * scale() < 7) continue;
          pen.fillStyle = colours.back;
          pen.fillRect(x - 1, bar.y + bar.height - 7, 2, 7);
          pen.fillStyle = colours.text;
          pen.fillRect(x - 1, bar.y + bar.height - 5, 2, 7);
        } else if (kind === FIRED || kind === INBOX) {
          pen.fillStyle = kind === FIRED ? colours.states[SLEEP] : colours.states[OTHER];
          pen.beginPath();
          pen.moveTo(x - 4, bar.y - 3);
          pen.lineTo(x + 4, bar.y - 3);
          pen.lineTo(x, bar.y + 4);
          pen.fill();
        } else {
          pen.fillStyle = kind === TICK ? colours.dim : colours.states[READ];
          pen.fillRect(x, bar.y + bar.height - 1, 1, 4);
        }
      }
    }

    """#
