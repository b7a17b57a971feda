"""Images in a notebook: built, fetched, shared, and shown as the stack of layers that they are."""
