"""Run the command line: `python -m ganframe`."""

import sys

# `python -m` looks for modules and plugins in the current folder first, which may be a folder of a stranger.
if not sys.flags.safe_path:
    del sys.path[0]

from ganframe.cli.main import main

main()
