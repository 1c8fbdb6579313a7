"""Labelbox."""
