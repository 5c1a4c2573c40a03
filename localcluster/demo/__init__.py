"""The newcomer's path: from a machine with Python and Go, or from a kubectl context, to a two-platform image.

Standard library only: it runs before the virtual environment exists and drives everything else as commands,
the same ones that the README shows.
"""
