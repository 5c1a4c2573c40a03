"""Our client and docker buildx side by side, on the same pods of the local cluster."""
