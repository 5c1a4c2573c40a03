#!/bin/sh
# Generates *_pb2.py and *_pb2.pyi from the .proto files beside it, in a tool environment of its own.
# grpcio-tools 1.80.0: its code runs with protobuf 6.31.1 up to 7.x; newer generators refuse what Pulumi needs.
# What they write is made to use loading.py.
set -eu
cd "$(dirname "$0")/../.."
tools=${XDG_CACHE_HOME:-$HOME/.cache}/buildkit-builders/grpcio-tools-1.80.0
if ! [ -x "$tools/bin/python" ] || ! "$tools/bin/python" -c 'import grpc_tools' 2>/dev/null; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet grpcio-tools==1.80.0
fi
"$tools/bin/python" -m grpc_tools.protoc -I . --python_out=. --pyi_out=. buildclient/proto/*.proto
"$tools/bin/python" buildclient/proto/lighten.py buildclient/proto/*_pb2.py
