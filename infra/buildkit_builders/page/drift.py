"""Looks for a stack's drift, for the page: `buildkit_builders.drift` through the Automation API."""

from __future__ import annotations

import time

from buildkit_builders.cli.report import drift_lines
from buildkit_builders.page.model import DriftView, Found

__all__ = ["drift_view"]


def drift_view(found: Found) -> DriftView:
    """What differs between a builder's stack and its cluster. Blocks for seconds; raises nothing."""
    from buildkit_builders.automation import Project
    from buildkit_builders.results import StackError

    try:
        drift = Project(found.project).stack(found.stack, create=False).drift()
    except (StackError, ImportError) as error:
        return DriftView(time.time(), error=str(error))
    return DriftView(time.time(), tuple(drift_lines(drift)) if drift else ())
