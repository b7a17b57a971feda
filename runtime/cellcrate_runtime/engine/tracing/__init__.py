"""What a runtime did to start a container: noted, put into words, and kept beside the container.

The embedded runtime notes what it does (:mod:`cellcrate_runtime.linux.recording`); other programs
are watched by strace(1) (:mod:`.strace`, :mod:`.system_calls`). Both give the same records, so that
:mod:`.describing` says the same of the same deed, whoever did it.
"""
