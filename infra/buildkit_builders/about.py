"""Whose builder it is: annotations of the ConfigMap that a builder publishes, for the page and for people.

A claim's stack writes them; to a builder without a claim anyone may add them by hand, and that is no drift.
"""

from __future__ import annotations

__all__ = ["ABOUT", "CONTACT", "EXPIRES", "OWNER", "TEAM"]

TEAM = "buildkit-builders/team"
OWNER = "buildkit-builders/owner"
CONTACT = "buildkit-builders/contact"
EXPIRES = "buildkit-builders/expires"
ABOUT = frozenset([TEAM, OWNER, CONTACT, EXPIRES])
