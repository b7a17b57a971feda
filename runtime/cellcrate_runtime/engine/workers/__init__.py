"""Short-lived processes that work on a container's files from where the container sees them."""
