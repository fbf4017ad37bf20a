"""A picture of all works at once: what others need, as a multiple of what ours needs."""
import figures
from svg import WIDTH

MARGIN = 24
WORK = 130  # the column of the works' names
CELL = 19


def overview(drawing, works):
    """Draws a matrix for each of ours; returns the names that take part, none if there is nothing to compare."""
    ours = dict.fromkeys(row["name"] for work in works for row in work["rows"] if row["ours"])
    peers = list(dict.fromkeys(row["name"] for work in works for row in work["rows"] if not row["ours"]))
    if not ours or not peers:
        return []
    drawing.y = 34
    drawing.text(MARGIN, drawing.y, "What others need, as a multiple of what ours needs", "text title")
    drawing.y += 18
    words = "Above 1.00 (green) ours needs less; below (red) it needs more; grey: within 2 %. A dash: not done by both."
    drawing.text(MARGIN, drawing.y, words, "quiet small")
    for name in ours:
        matrix(drawing, name, peers, [work for work in works if measured(work, name)])
    return [*ours, *peers]


def measured(work, name):
    return next((row for row in work["rows"] if row["name"] == name and row["status"] == "measured"), None)


def matrix(drawing, name, peers, works):
    width = (WIDTH - 2 * MARGIN - WORK) / len(peers)
    drawing.y += 26 + 11 * max(peer.count("-") for peer in peers)
    drawing.text(MARGIN, drawing.y, name, "text panel")
    for column, peer in enumerate(peers):
        # Long names take several lines: python-uvloop-streams.
        for line, word in enumerate(reversed(peer.split("-"))):
            x = MARGIN + WORK + (column + 0.5) * width
            drawing.text(x, drawing.y - 11 * line, short(word, width), "text small", "middle", peer)
    drawing.y += 6
    for work in works:
        drawing.text(MARGIN, drawing.y + CELL - 5, work["name"], "text", hint=work["title"])
        for column, peer in enumerate(peers):
            x = MARGIN + WORK + column * width
            cell(drawing, x, width, measured(work, peer), name, f"{work['title']}: {peer} ÷ {name}")
        drawing.y += CELL


def cell(drawing, x, width, row, name, hint):
    ratio = row and row["ratios"].get(name)
    middle, baseline = x + width / 2, drawing.y + CELL - 5
    if not ratio:
        drawing.text(middle, baseline, "–", "quiet small", "middle", hint)
        return
    value = ratio["median"]
    tint = "better" if value > 1.02 else "worse" if value < 0.98 else "equal"
    drawing.rectangle(x + 1, drawing.y + 1, width - 2, CELL - 2, tint, hint, 2)
    drawing.text(middle, baseline, figures.times(value).rstrip("×"), "text small", "middle", hint)


def short(words, width):
    """As much of a name as fits, at some six units a letter."""
    most = int(width / 6)
    return words if len(words) <= most else words[:most - 1] + "…"
