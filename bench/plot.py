"""Plots as SVG, readable on light and dark pages, without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["bars"]

_ROW, _BAR, _LABEL, _PANEL, _GAP = 22, 14, 190, 190, 60
_STYLE = (
    "text{font:12px sans-serif;fill:#57606a}.t{font-weight:600}rect{fill:#4c78a8}"
    "@media(prefers-color-scheme:dark){text{fill:#c9d1d9}rect{fill:#79a8d8}}"
)


def bars(names: Sequence[str], panels: Mapping[str, Sequence[float]]) -> str:
    """An SVG of bars: a row for each name, a panel with a scale of its own for each list of values."""
    width = _LABEL + len(panels) * (_PANEL + _GAP)
    height = 34 + _ROW * len(names)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">']
    parts.append(f"<style>{_STYLE}</style>")
    for row, name in enumerate(names):
        parts.append(f'<text x="0" y="{45 + row * _ROW}">{escape(name)}</text>')
    for number, (title, values) in enumerate(panels.items()):
        left = _LABEL + number * (_PANEL + _GAP)
        parts.append(f'<text class="t" x="{left}" y="16">{escape(title)}</text>')
        scale = _PANEL / (max(values) or 1)
        for row, value in enumerate(values):
            top = 34 + row * _ROW
            parts.append(f'<rect x="{left}" y="{top}" width="{value * scale:.1f}" height="{_BAR}"/>')
            parts.append(f'<text x="{left + value * scale + 4:.1f}" y="{top + 11}">{value:.3g}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
