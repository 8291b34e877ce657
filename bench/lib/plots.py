"""Plots as SVG, with nothing but text. They follow the reader's light or dark background."""
import math
from xml.sax.saxutils import escape

STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .small { font-size: 11px; fill: #57606a } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 } .bar { fill: #8c959f } .ours { fill: #0969da } .limit { fill: #1a7f37 } .whisker { stroke: #24292f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #8d96a0 } .grid { stroke: #30363d } .bar { fill: #6e7681 } .ours { fill: #4493f8 } .limit { fill: #3fb950 }
    .whisker { stroke: #e6edf3 }
  }
</style>"""
LEFT, WIDTH, ROW, BAR = 250, 820, 24, 14


def kind_of(system):
    return "ours" if system == "syncgate" else "limit" if system.startswith("limit") else "bar"


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}".replace(",", " ")


class Logarithmic:
    """For what differs by factors; drawn as points, since the length of a bar would mean nothing."""

    note = " (logarithmic)"

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)) - 0.05)
        self.high = max(math.ceil(math.log10(max(values)) + 0.05), self.low + 1)

    def x(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - 70)

    def ticks(self):
        return [10.0 ** power for power in range(self.low, self.high + 1)]

    def mark(self, css, value, middle):
        return (f'<line class="grid" x1="{LEFT}" x2="{self.x(value):.1f}" y1="{middle}" y2="{middle}"/>'
                f'<circle class="{css}" cx="{self.x(value):.1f}" cy="{middle}" r="6"/>')


class Linear:
    """Bars from zero."""

    note = ""

    def __init__(self, values):
        self.step = 10.0 ** math.floor(math.log10(max(values)))
        while max(values) / self.step < 4:
            self.step /= 2
        self.high = self.step * math.ceil(max(values) / self.step)

    def x(self, value):
        return LEFT + value / self.high * (WIDTH - LEFT - 70)

    def ticks(self):
        return [self.step * n for n in range(round(self.high / self.step) + 1)]

    def mark(self, css, value, middle):
        return f'<rect class="{css}" x="{LEFT}" y="{middle - BAR / 2}" width="{max(1.0, self.x(value) - LEFT):.1f}" height="{BAR}"/>'


def row_of(scale, y, system, label, median, low, high):
    middle = y + ROW / 2
    yield f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>'
    yield scale.mark(kind_of(system), median, middle)
    if high > low > 0:
        yield f'<line class="whisker" x1="{scale.x(low):.1f}" x2="{scale.x(high):.1f}" y1="{middle}" y2="{middle}"/>'
    yield f'<text class="small" x="{max(scale.x(median), scale.x(high)) + 10:.1f}" y="{middle + 4}">{number(median)}</text>'


def chart(title, unit, groups, scale_of=Logarithmic):
    """groups: [(heading, [(system, label, median, low, high)])], from least to most."""
    groups = [(heading, [row for row in rows if row[2] > 0]) for heading, rows in groups]
    values = [value for _, rows in groups for row in rows for value in row[2:] if value > 0]
    if not values:
        return None
    scale = scale_of(values)
    out, y = [], 34
    for heading, rows in groups:
        if heading:
            out.append(f'<text class="small" x="12" y="{y + 14}">{escape(heading)}</text>')
            y += ROW
        for row in rows:
            out.extend(row_of(scale, y, *row))
            y += ROW
        y += 8
    height = y + 24
    grid = []
    for tick in scale.ticks():
        grid.append(f'<line class="grid" x1="{scale.x(tick):.1f}" x2="{scale.x(tick):.1f}" y1="34" y2="{y}"/>')
        grid.append(f'<text class="small" x="{scale.x(tick):.1f}" y="{y + 16}" text-anchor="middle">{number(tick)}</text>')
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>", STYLE,
        f'<text class="title" x="12" y="22">{escape(title)}, {escape(unit)}{scale.note}</text>', *grid, *out, "</svg>", ""])
