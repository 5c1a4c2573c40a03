"""Curves of both clients over one quantity, as SVG, readable on light and dark pages. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["curves"]

_LEFT, _TOP, _WIDTH, _HEIGHT, _RIGHT, _BOTTOM = 60, 30, 460, 220, 130, 44
_COLOURS = (("#4c78a8", "#79a8d8"), ("#c44e52", "#e08a8d"))
_STYLE = (
    "text{font:12px sans-serif;fill:#57606a}.t{font-weight:600}.g{stroke:#8c959f;stroke-opacity:.35}"
    + "".join(f".c{number}{{stroke:{light};fill:{light}}}" for number, (light, _) in enumerate(_COLOURS))
    + "polyline{fill:none!important;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}"
    + "".join(f".c{number}{{stroke:{dark};fill:{dark}}}" for number, (_, dark) in enumerate(_COLOURS))
    + "}"
)


def curves(title: str, quantity: str, at: Sequence[float], seconds: Mapping[str, Sequence[float]]) -> str:
    """An SVG: a curve for each client, with its seconds at each value of the quantity.

    Values of the quantity are spaced by their logarithm where they span more than a factor of ten and none is 0.
    """
    top = _rounded_up(max(max(values) for values in seconds.values()))
    across = _positions(at)
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">']
    parts += [f"<style>{_STYLE}</style>", f'<text class="t" x="{_LEFT}" y="16">{escape(title)}</text>']
    for step in range(5):
        value = top * step / 4
        y = _height(value, top)
        parts.append(f'<line class="g" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g} s</text>')
    for x, value in zip(across, at, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{value:g}</text>')
    middle = _LEFT + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{_TOP + _HEIGHT + 36}" text-anchor="middle">{escape(quantity)}</text>')
    for number, (name, values) in enumerate(seconds.items()):
        points = [(x, _height(value, top)) for x, value in zip(across, values, strict=True)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="c{number}" points="{joined}"/>')
        parts += [f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
        y = _TOP + 12 + number * 20
        parts.append(f'<circle class="c{number}" cx="{_LEFT + _WIDTH + 16}" cy="{y - 4}" r="4"/>')
        parts.append(f'<text x="{_LEFT + _WIDTH + 26}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _positions(at: Sequence[float]) -> list[float]:
    least, most = min(at), max(at)
    scaled = list(map(math.log, at)) if least > 0 and most > 10 * least else list(at)
    span = (max(scaled) - min(scaled)) or 1
    return [_LEFT + 12 + (value - min(scaled)) / span * (_WIDTH - 24) for value in scaled]


def _height(value: float, top: float) -> float:
    return _TOP + _HEIGHT * (1 - value / top)


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(next(step for step in (1, 2, 4, 5, 8, 10) if step * power >= value) * power)
