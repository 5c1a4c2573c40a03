"""`python -m buildclient`: the command line."""

import signal

if __name__ == "__main__":
    # Interrupted while it still loads, it goes without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from buildclient.cli.main import run

    run()
