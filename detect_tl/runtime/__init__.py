"""Detection on images, videos and cameras. Nothing in here loads torch."""
