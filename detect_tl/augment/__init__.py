"""Augmentation: pictures changed at random, their boxes and masks with them."""
