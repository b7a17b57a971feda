"""The OCI runtime specification: a bundle becomes a process behind walls."""
