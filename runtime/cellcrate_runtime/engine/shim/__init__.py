"""The shim: one small process a container, which holds its streams and records how it ended."""
