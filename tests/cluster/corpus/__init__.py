"""Command lines that docker buildx and buildclient both run; every module `rows_*` adds some."""

from __future__ import annotations

import importlib
import pkgutil

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]


def _rows() -> tuple[Row, ...]:
    names = sorted(one.name for one in pkgutil.iter_modules(__path__) if one.name.startswith("rows_"))
    return tuple(row for name in names for row in importlib.import_module(f"{__name__}.{name}").ROWS)


ROWS = _rows()
