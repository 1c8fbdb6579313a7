"""Carrying out a transfer: the configuration, the trainers and the run folder."""
