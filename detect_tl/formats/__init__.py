"""Annotation formats, one per file, each coming in through the plugin door.

`detect.read_dataset` reads whatever a folder holds; `base.Format` is what a format offers.
"""
