#!/usr/bin/env python3
"""Plots what bench.py has measured: an SVG for each group of works, with all rows, also those that we lose.

plot.py FILE.json… -o DIRECTORY [--group GROUP…]
And overview.svg: what each peer needs as a multiple of what ours need, all works. Of several files, which are to be of
one machine and of the same versions, a later one's works take the place of an earlier one's.
"""
import argparse
import json
import sys
from pathlib import Path

import figures
from svg import BAR, LABELS, ROW, VALUES, WIDTH, Drawing, wrap
from overview import overview
from table import notes
from works import FIGURES, GROUPS, WORKS

MARGIN = 24
LEFT = MARGIN + LABELS
RIGHT = WIDTH - MARGIN - VALUES
COLUMNS = 138  # of the small print


def scale(ratios):
    """Where the axis ends. Bars that are far longer than most are cut: their numbers stand beside them."""
    ordered = sorted(ratios)
    most = max(ordered[len(ordered) // 2] * 2.5, 2)
    return min(ordered[-1], most) * 1.04


def panel(drawing, work):
    """A work: its title, and a bar for each row, the cheapest first."""
    measured = [row for row in work["rows"] if row["status"] == "measured" and row.get("ratio")]
    measured.sort(key=lambda row: row["ratio"]["median"])
    drawing.y += 26
    drawing.text(MARGIN, drawing.y, work["title"], "text panel")
    reference = f"{FIGURES[work['figure']]}, as a multiple of that of {work['reference']}; less is better"
    drawing.y += 16
    drawing.text(MARGIN, drawing.y, reference if measured else "nobody could do it", "quiet small")
    drawing.y += 8
    if measured:
        end = scale([row["ratio"]["median"] for row in measured])
        top = drawing.y
        for row in measured:
            bar(drawing, row, work, end)
        at_one = LEFT + (RIGHT - LEFT) / end
        drawing.line(at_one, top - 1, at_one, drawing.y + 2, "reference")
        drawing.line(LEFT, top - 1, LEFT, drawing.y + 2, "axis")
    for note in notes(work):
        for line in wrap(note, COLUMNS):
            drawing.y += 15
            drawing.text(MARGIN, drawing.y, line, "quiet small")
    drawing.y += 8


def bar(drawing, row, work, end):
    ratio = row["ratio"]
    # Two of ours are told apart: what the two drivers cost is a difference that one looks for.
    mine = "ours-too" if row["name"].endswith("uring") else "ours"
    classes = mine if row["ours"] else "limit" if row["name"] == work["reference"] else "peer"
    baseline = drawing.y + ROW / 2 + 4
    bold = " mine" if row["ours"] else ""
    drawing.text(LEFT - 8, baseline, row["name"], "text" + bold, "end")
    length = min(ratio["median"], end) / end * (RIGHT - LEFT)
    top = drawing.y + (ROW - BAR) / 2
    value = figures.shown(work["figure"], row["figures"][work["figure"]]["median"])
    hint = f"{row['name']}: {figures.times(ratio['median'])}, quartiles {ratio['q1']:.3f} to {ratio['q3']:.3f}, {value}"
    drawing.rectangle(LEFT, top, max(length, 1), BAR, classes, hint, 2)
    if ratio["median"] > end:
        # The cut: a slanted gap near the bar's end.
        x = LEFT + length - 22
        drawing.path(f"M{x:.1f} {top - 1:.1f} l6 0 l-6 {BAR + 2} l-6 0 z", "cut")
    elif len(ratio["samples"]) > 1 and row["name"] != work["reference"]:
        low, high = (LEFT + min(ratio[key], end) / end * (RIGHT - LEFT) for key in ("q1", "q3"))
        middle = top + BAR / 2
        drawing.path(f"M{low:.1f} {middle - 3:.1f} v6 m0 -3 H{high:.1f} m0 -3 v6", "spread")
    label = f"{figures.times(ratio['median'])}  ·  {value}"
    drawing.text(RIGHT + 10, baseline, label, "text" + bold)
    drawing.y += ROW


def caption(document, works, names):
    """How, with what, where and when this was measured."""
    machine = document["machine"]
    lines = wrap(document["method"], COLUMNS)
    plans = {}
    for work in works:
        plans.setdefault(described(work.get("plan") or document["plan"]), []).append(work["name"])
    if len(plans) == 1:
        how = next(iter(plans))
    else:
        how = "; ".join(f"{', '.join(names)}: {plan}" for plan, names in plans.items())
    lines += wrap(
        f"{how}; whiskers are quartiles. {machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, "
        f"{machine['system']}, TCP with {machine['congestion_control']}, {machine['date']}.", COLUMNS)
    shared = by_version(document["versions"], names)
    versions = [f"{' and '.join(sharing)}: {version}" for version, sharing in shared]
    lines += wrap(f"Versions: {'; '.join(versions)}.", COLUMNS)
    if any((work.get("plan") or document["plan"]).get("quick") for work in works):
        lines.append("A quick run: these figures are not to be quoted.")
    return lines + [line for note in machine["notes"] for line in wrap(note, COLUMNS)]


def described(plan):
    rounds = "1 round" if plan["rounds"] == 1 else f"{plan['rounds']} rounds"
    return f"{rounds} of {plan['seconds']:g} s after {plan['warmup']:g} s of warming up"


def merged(documents):
    """One document of all: each work as it was measured last, and what each run says of itself."""
    works = {}
    for document in documents:
        for work in document["works"]:
            works[work["name"]] = {"plan": document["plan"], **work}
    notes = dict.fromkeys(note for document in documents for note in document["machine"]["notes"])
    last = documents[-1]
    versions = {name: version for document in documents for name, version in document["versions"].items()}
    order = [work.name for work in WORKS]
    return {
        **last,
        "machine": {**last["machine"], "notes": list(notes)},
        "versions": versions,
        "works": [works[name] for name in sorted(works, key=order.index)],
    }


def by_version(versions, names):
    shared = {}
    for name in names:
        shared.setdefault(versions.get(name, "unknown"), []).append(name)
    return shared.items()


def draw_overview(document):
    """All works and peers at a glance; None if ours took no part or nobody else did."""
    drawing = Drawing()
    names = overview(drawing, document["works"])
    if not names:
        return None
    foot(drawing, document, document["works"], names)
    return drawing.document("Overview: what others need, in what ours needs")


def foot(drawing, document, works, names):
    drawing.y += 8
    drawing.line(MARGIN, drawing.y, WIDTH - MARGIN, drawing.y, "axis")
    drawing.y += 4
    for line in caption(document, works, names):
        drawing.y += 15
        drawing.text(MARGIN, drawing.y, line, "quiet small")


def draw(document, group):
    """The SVG of a group; None if none of its works has been measured."""
    works = [work for work in document["works"] if work["group"] == group]
    if not works:
        return None
    drawing = Drawing()
    drawing.y = 34
    drawing.text(MARGIN, drawing.y, GROUPS[group], "text title")
    for work in works:
        panel(drawing, work)
    names = dict.fromkeys(row["name"] for work in works for row in work["rows"])
    foot(drawing, document, works, names)
    return drawing.document(f"{GROUPS[group]}: ratios of {', '.join(names)}")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, default=Path("."))
    parser.add_argument("--group", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    options = parser.parse_args(arguments)
    document = merged([json.loads(file.read_text()) for file in options.files])
    options.output.mkdir(parents=True, exist_ok=True)
    for group in options.group:
        if picture := draw(document, group):
            write(options.output / f"{group}.svg", picture)
    if picture := draw_overview(document):
        write(options.output / "overview.svg", picture)
    return 0


def write(path, picture):
    path.write_text(picture)
    print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
