"""Tables with a box per row."""
