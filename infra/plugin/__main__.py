"""What Pulumi starts: the host of the package's components."""

from buildkit_builders.package.host import run

if __name__ == "__main__":
    run()
