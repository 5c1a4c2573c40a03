"""The distribution's version; pyproject.toml reads it here.

A literal: asking the installed package for it costs more than a cached build can spare.
"""

VERSION = "0.1.0"
