"""The resident engine: it owns the containers of one user and serves the Docker Engine API."""
