"""The embedded container runtime: real Linux containers, started from Python.

The houses, from the ground up: ``linux`` (system calls, no policy), ``oci`` and ``images`` (the
OCI standards), ``engine`` (the Docker Engine API over them), ``cli`` (the ``cellcrate`` command).
"""
