"""`python -m ganframe` is the command line."""

from ganframe.cli.main import main

main()
