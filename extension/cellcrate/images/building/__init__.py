"""A Dockerfile becomes an image: the request, the stream of its steps, their picture."""
