/// Arrows from who woke a task to where it runs, the strip with the whole recording, the scroll bar.
let pageArrows: StaticString = #"""
    /// Above so many, arrows are drawn for the chosen task alone.
    const manyArrows = () => Math.max(36, (view.width - view.gutter) / 9);

    function drawArrows(firstRow, lastRow) {
      const found = [];
      let isCrowded = false;
      const collect = lane => {
        for (let i = spanAfter(lane, view.from); i < lane.span1 && start[i] <= view.to; i++) {
          if (state[i] !== READY || second[i] < 0) continue;
          found.push(lane.index, i);
          if (found.length > manyArrows() * 2) return true;
        }
        return false;
      };
      for (let row = firstRow; row < lastRow && !isCrowded; row++) isCrowded = collect(lanes[view.rows[row]]);
      arrowsDrawn = 0;
      pen.save();
      pen.beginPath();
      pen.rect(view.gutter, view.top, view.width - view.gutter, view.height - view.top);
      pen.clip();
      if (!isCrowded) for (let n = 0; n < found.length; n += 2) drawArrow(found[n], found[n + 1], false);
      const chosen = lanes[view.chosen];
      if (chosen) {
        let left = 400;
        if (!chosen.isLoop) {
          for (let i = spanAfter(chosen, view.from); i < chosen.span1 && start[i] <= view.to && left > 0; i++)
            if (state[i] === READY && second[i] >= 0) left -= drawArrow(chosen.index, i, true);
        }
        for (const [index, i] of wokenBy(chosen)) {
          if (left <= 0) break;
          if (end[i] >= view.from && start[i] <= view.to) left -= drawArrow(index, i, true);
        }
      }
      pen.restore();
    }

    /// The times in the queue that a task has caused: lane and span.
    let wokenByChosen = { index: -1, spans: [] };
    function wokenBy(chosen) {
      if (chosen.isLoop) return [];
      if (wokenByChosen.index === chosen.index) return wokenByChosen.spans;
      const spans = [];
      for (const lane of taskLanes)
        for (let i = lane.span0; i < lane.span1; i++)
          if (state[i] === READY && second[i] === chosen.index && lane !== chosen) spans.push([lane.index, i]);
      wokenByChosen = { index: chosen.index, spans };
      return spans;
    }

    function drawArrow(index, i, isStrong) {
      const fromLane = yOf(second[i]), toLane = yOf(index);
      if (fromLane === null || toLane === null || second[i] === index) return 0;
      const x0 = xOf(start[i]), x1 = xOf(end[i]);
      if (x1 < view.gutter || x0 > view.width) return 0;
      const low = pinnedHeight(), middle = view.small ? 26 : view.row / 2;
      const clamp = (y, lane) => view.pinned.includes(lane) ? y : Math.min(Math.max(y, low - 4), view.height + 4);
      const y0 = clamp(fromLane + middle, second[i]), y1 = clamp(toLane + middle, index);
      const edge = y1 > y0 ? y1 - 7 : y1 + 7;
      pen.strokeStyle = pen.fillStyle = isStrong ? colours.accent : colours.states[READY];
      pen.globalAlpha = isStrong ? 1 : 0.75;
      pen.lineWidth = isStrong ? 1.8 : 1.1;
      pen.beginPath();
      pen.moveTo(x0, y0);
      if (x1 - x0 < 10) pen.lineTo(x1, edge);
      else pen.bezierCurveTo(x0, y0 + (edge - y0) * 0.7, x1, y0 + (edge - y0) * 0.2, x1, edge);
      pen.stroke();
      const tip = y1 > y0 ? 1 : -1;
      pen.beginPath();
      pen.moveTo(x1, edge + tip * 3);
      pen.lineTo(x1 - 4, edge - tip * 4);
      pen.lineTo(x1 + 4, edge - tip * 4);
      pen.fill();
      pen.beginPath();
      pen.arc(x0, y0, 2.2, 0, 7);
      pen.fill();
      pen.globalAlpha = 1;
      arrowsDrawn++;
      return 1;
    }

    function drawScrollbar() {
      const all = view.rows.length * view.row, seen = visibleHeight();
      if (all <= seen) return;
      const height = Math.max(28, seen * seen / all);
      const y = pinnedHeight() + (seen - height) * view.scroll / maximalScroll();
      pen.fillStyle = colours.dim;
      pen.globalAlpha = 0.45;
      pen.beginPath();
      pen.roundRect(view.width - 9, y + 2, 6, height - 4, 3);
      pen.fill();
      pen.globalAlpha = 1;
    }

    let busyPicture = null;
    function drawOverview() {
      const box = fit(overview, overviewPen), brush = overviewPen, { width, height } = box;
      brush.clearRect(0, 0, width, height);
      if (busyPicture?.width !== overview.width || busyPicture.of !== colours)
        busyPicture = Object.assign(paintBusyness(width, height), { of: colours });
      brush.drawImage(busyPicture, 0, 0, width, height);
      const from = view.from / duration * width, to = view.to / duration * width;
      if (view.from > 0 || view.to < duration) {
        brush.globalAlpha = 0.62;
        brush.fillStyle = colours.panel;
        brush.fillRect(0, 0, from, height);
        brush.fillRect(to, 0, width - to, height);
        brush.globalAlpha = 1;
      }
      brush.strokeStyle = colours.accent;
      brush.lineWidth = 2;
      brush.strokeRect(Math.max(from, 1), 1, Math.max(Math.min(to, width - 1) - Math.max(from, 1), 2), height - 2);
    }

    function paintBusyness(width, height) {
      const picture = document.createElement("canvas"), brush = picture.getContext("2d");
      picture.width = overview.width;
      picture.height = overview.height;
      brush.scale(picture.width / width, picture.height / height);
      const foot = height - 3, room = height - 10;
      const columns = Math.min(buckets, Math.floor(width));
      for (let column = 0; column < columns; column++) {
        const a = Math.floor(column * buckets / columns);
        const b = Math.max(a + 1, Math.floor((column + 1) * buckets / columns));
        let share = 0, isLong = 0;
        for (let bucket = a; bucket < b; bucket++) {
          share += busyness[bucket] / (b - a);
          isLong |= longness[bucket];
        }
        if (share <= 0) continue;
        brush.fillStyle = isLong ? colours.long : colours.states[RUN];
        const tall = Math.max(1, Math.min(share, 1) * room);
        const left = Math.floor(column * width / columns), right = Math.floor((column + 1) * width / columns);
        brush.fillRect(left, foot - tall, right - left, tall);
      }
      brush.fillStyle = colours.line;
      brush.fillRect(0, foot, width, 1);
      return picture;
    }

    """#
