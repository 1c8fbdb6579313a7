"""From a checkpoint to a file that other engines run, and the proof that it answers the same."""
