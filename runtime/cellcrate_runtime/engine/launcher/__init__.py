"""The launcher: the warm, single-threaded process from which shims and file workers are forked."""
