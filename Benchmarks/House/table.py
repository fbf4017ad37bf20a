"""The table for the terminal."""
import figures


def table(result):
    """A work's rows, the cheapest first, and below them who could not do it."""
    measured = [row for row in result["rows"] if row["status"] == "measured"]
    measured.sort(key=lambda row: row["figures"][result["figure"]]["median"])
    ours = [row["name"] for row in measured if row["ours"]]
    rounds = result["rounds"]
    head = f"{result['title']} ({result['name']}, {rounds} round{'s' if rounds != 1 else ''})"
    heads = ["", f"of {result['reference']}", "quartiles", result["figure"]]
    extras = [column for column in COLUMNS if any(column[1] in row["figures"] for row in measured)]
    extras = [column for column in extras if column[1] != result["figure"]]
    counts = [name for name in COUNTS if any(name in row.get("counts", {}) for row in measured)]
    heads += [column[0] for column in extras] + [COUNTS[name] for name in counts] + [f"÷ {name}" for name in ours]
    lines = [heads]
    for row in measured:
        cells = [row["name"] + (" ◂" if row["ours"] else ""), figures.times(_median(row.get("ratio"))),
                 _spread(row.get("ratio")), figures.shown(result["figure"], _median(row["figures"][result["figure"]]))]
        cells += [show(_median(row["figures"].get(key))) for _, key, show in extras]
        cells += [_count(row.get("counts", {}).get(name)) for name in counts]
        cells += [figures.times(_median(row["ratios"].get(name))) for name in ours]
        lines.append(cells)
    return "\n".join([head, *_aligned(lines), *notes(result)])


def notes(result):
    """What the reader of a table or a plot has to know."""
    found = []
    for row in result["rows"]:
        if row["status"] != "measured":
            found.append(f"{row['name']} {row['status']}: {row['reason']}")
        if row.get("warning"):
            found.append(f"{row['name']}: {row['warning']}!")
    idle = [row["name"] for row in result["rows"] if _is_idle(row, result)]
    if idle:
        names = ", ".join(idle)
        found.append(f"waited for the load generator more than a tenth of the time, so the rate is not theirs: {names}")
    return found


def _is_idle(row, result):
    found = row.get("figures", {})
    busy, load = _median(found.get("busy"), 1), _median(found.get("load_busy"), 0)
    return "--rate" not in result["options"] and busy < 0.9 and load > busy


def _median(summary, default=None):
    return summary["median"] if summary else default


def _spread(summary):
    if not summary or len(summary["samples"]) < 2:
        return ""
    return f"{summary['q1']:.2f}–{summary['q3']:.2f}"


def _rate(value):
    return "–" if value is None else figures.si(value, "/s").replace(" /s", "/s")


def _time(value):
    return figures.shown("_ns", value)


def _size(value):
    return figures.shown("bytes", value)


def _count(value):
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _plain(value):
    return "–" if value is None else f"{value:g}"


COLUMNS = [
    ("CPU", "cpu_ns", _time), ("wall", "wall_ns", _time), ("rate", "per_second", _rate), ("p50", "p50_ns", _time),
    ("p99", "p99_ns", _time), ("p99.9", "p99.9_ns", _time), ("late", "late_ns", _time), ("each", "bytes_each", _size),
    ("program", "program_bytes", _size), ("libraries", "libraries", _plain), ("CPU", "start_cpu_ns", _time),
    ("peak", "peak_bytes", _size),
]

COUNTS = {"instructions": "instr.", "allocations": "allocs", "system_calls": "syscalls"}


def _aligned(lines):
    widths = [max(map(len, column)) for column in zip(*lines)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(cells, widths))
        ).rstrip() for cells in lines
    ]
