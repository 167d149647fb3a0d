"""Run the command line: `python -m ganframe`."""

from ganframe.cli.main import main

main()
