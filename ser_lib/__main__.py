"""`python -m ser_lib` is the `ser` command."""

from ser_lib.cli.main import main

main()
