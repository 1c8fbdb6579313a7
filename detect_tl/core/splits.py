"""The parts that a data set is divided into, where loading numpy to name them would be too much."""

SPLITS = ("train", "val", "test")
