"""A build as a step of a CI job: the GitHub action of this repository (`action.yml`)."""
