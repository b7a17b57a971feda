"""The language of Dockerfiles: read, checked and its variables replaced, with no file touched."""
