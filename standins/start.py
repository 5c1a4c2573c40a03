"""Starts one of the two plugins: `start.py provider|language [flags] ENGINE_ADDRESS`.

Run by file name with an isolated interpreter (`-I`), so that neither the program's folder nor PYTHONPATH, which are
the user's, can put other modules before ours; only then is the project's own root made importable.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Hands over to the plugin named by the first argument."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    which, arguments = sys.argv[1], sys.argv[2:]
    if which == "provider":
        from standins.provider.server import run
    else:
        from standins.language.host import run
    run(arguments)


if __name__ == "__main__":
    main()
