"""The command line: parses, calls one function of `detect_tl.api`, prints."""
