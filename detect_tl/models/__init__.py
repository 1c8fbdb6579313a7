"""Models as torch sees them: loading them safely, and moving tensors into them."""
