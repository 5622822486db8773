"""`python -m compose`: the command line."""

from compose.cli import main

main()
