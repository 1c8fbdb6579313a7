"""What is transferred, as values: names, files, plans and layers to freeze. No torch."""
