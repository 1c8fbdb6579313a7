"""Files that a bundle holds beside the model; `detect.py` is what its user starts."""
