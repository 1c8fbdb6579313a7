"""WebDataset: shards of a data set as tar files, pictures and annotations side by side."""
