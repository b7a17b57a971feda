"""The Docker Engine API over HTTP, one module a subject."""
