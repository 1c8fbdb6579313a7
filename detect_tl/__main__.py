"""`python -m detect_tl`: the same as the `detect-tl` script."""

from detect_tl.cli.app import main

main()
