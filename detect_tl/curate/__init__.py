"""From annotations to a data set folder to train on: checks, repair, split, conversion."""
