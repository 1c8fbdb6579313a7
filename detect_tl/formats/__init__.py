"""Annotation formats: each a file, or a folder of its reader (format.py) and its parts.

All come in through the plugin door. `detect.read_dataset` reads whatever a folder holds;
`base.Format` is what a format offers.
"""
