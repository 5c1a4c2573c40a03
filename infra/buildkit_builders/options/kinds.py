"""Kinds of values that options of several files have."""

from __future__ import annotations

from buildkit_builders.options import values
from buildkit_builders.options.row import Kind

__all__ = ["BOOLEAN", "SUBDOMAIN"]

BOOLEAN = Kind("boolean", "boolean", values.boolean)
SUBDOMAIN = Kind("name (DNS subdomain)", "string", values.dns_subdomain)
