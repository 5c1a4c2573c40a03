"""What the Pulumi side and the build client agree on: platforms and the builder output. Standard library only."""
