"""The same work on many cores and machines, through Ray."""
