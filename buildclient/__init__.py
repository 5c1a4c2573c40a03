"""A client that builds with BuildKit on Kubernetes, without Docker; `buildclient.api` is for programs."""

import os
import signal
import sys

# Of a program, before anything else is loaded: interrupted meanwhile, it goes without a traceback.
if sys.argv and os.path.basename(sys.argv[0]) == "buildclient":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
