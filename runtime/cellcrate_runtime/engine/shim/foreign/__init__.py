"""Containers that an OCI runtime program makes: ``runc``, ``crun`` and their like.

The shim drives the program by the command line that they all have; :mod:`.program` calls it,
:mod:`.bundle` writes what it reads, and :mod:`.driver` puts both in the place of the embedded
runtime. Source: OCI runtime-spec 1.2, runtime.md, and opencontainers/runtime-tools,
docs/command-line-interface.md.
"""
