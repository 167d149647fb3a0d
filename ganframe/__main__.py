"""`python -m ganframe` is the command line."""

from ganframe.cli import main

main()
