"""Making a trained model fit pictures of another camera, without labels for them."""
