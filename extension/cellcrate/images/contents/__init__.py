"""What is in an image's layers, however its engine lets one know."""
