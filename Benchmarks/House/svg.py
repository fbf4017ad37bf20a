"""Bars drawn by hand, as an SVG that suits light and dark pages."""
from xml.sax.saxutils import escape, quoteattr

WIDTH = 860
ROW = 22
BAR = 13
LABELS = 150  # the names' column
VALUES = 160  # the figures' column, right of the bars

# The colours of a page follow what its reader's system prefers, also where the picture is only linked as an image.
STYLE = """
.page { fill: #ffffff } .text { fill: #1f2328 } .quiet { fill: #59636e } .axis { stroke: #d1d9e0; stroke-width: 1 }
.peer { fill: #b6bfc9 } .limit { fill: #6e7781 } .ours { fill: #e4572e } .ours-too { fill: #f0a202 }
.spread { stroke: #1f2328; stroke-width: 1.2; fill: none } .reference { stroke: #59636e; stroke-dasharray: 3 3 }
.cut { fill: #ffffff } .better { fill: #d3f0dd } .equal { fill: #eef1f4 } .worse { fill: #ffd9cf }
text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
.title { font-size: 17px; font-weight: 600 } .panel { font-size: 13px; font-weight: 600 } .small { font-size: 11px }
.mine { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } .text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis { stroke: #3d444d }
  .peer { fill: #4a535e } .limit { fill: #848d97 } .ours { fill: #ff7b54 } .ours-too { fill: #ffc145 }
  .spread { stroke: #e6edf3 } .reference { stroke: #9198a1 } .cut { fill: #0d1117 }
  .better { fill: #12452a } .equal { fill: #262c33 } .worse { fill: #6b2a1c }
}
"""


class Drawing:
    """Shapes from top to bottom; `y` is where the next one goes."""

    def __init__(self):
        self.parts = []
        self.y = 0

    def text(self, x, y, words, classes, anchor="start", hint=""):
        title = f"<title>{escape(hint)}</title>" if hint else ""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.parts.append(f'<text {place} class={quoteattr(classes)}>{title}{escape(words)}</text>')

    def rectangle(self, x, y, width, height, classes, hint="", radius=0):
        title = f"<title>{escape(hint)}</title>" if hint else ""
        round_corners = f' rx="{radius}"' if radius else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{round_corners} '
            f'class={quoteattr(classes)}>{title}</rect>')

    def line(self, x1, y1, x2, y2, classes):
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class={quoteattr(classes)}/>')

    def path(self, shape, classes):
        self.parts.append(f'<path d="{shape}" class={quoteattr(classes)}/>')

    def document(self, name):
        height = self.y + 12
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" role="img" aria-label={quoteattr(name)}>\n<style>{STYLE}</style>\n'
            f'<rect class="page" width="100%" height="100%"/>\n{body}\n</svg>\n')


def wrap(words, columns):
    """Lines of at most so many characters."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
