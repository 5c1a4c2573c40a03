#!/bin/sh
# What the action runs: `install` puts the client into a virtual environment of the job, `build` builds with it.
# Inputs are variables INPUT_…, read by Python alone: none of them stands on a command line. BUILDCLIENT_PYTHON names a
# Python that has the client already.
set -eu

venv=${RUNNER_TEMP:?RUNNER_TEMP is not set: this script is a step of a GitHub job}/buildclient
python=${BUILDCLIENT_PYTHON:-$venv/bin/python}
root=$(cd "$(dirname "$0")/.." && pwd)

case ${1:-} in
install)
  if "$python" -I -c 'import buildclient.ci' 2>/dev/null; then exit 0; fi
  if ! python3 -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo '::error::the build client needs Python 3.11 or newer: put a step with actions/setup-python before this one'
    exit 2
  fi
  python3 -m venv "$venv"
  "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check "$root[speed]"
  ;;
build)
  exec "$python" -I -m buildclient.ci
  ;;
*)
  echo "usage: run.sh install|build" >&2
  exit 2
  ;;
esac
