"""Images that come from registries and go to them: distribution-spec 1.1.

From the bottom: ``endpoints`` and ``tls`` (where a registry is, and who is believed to be it),
``transport`` (HTTP with patience), ``challenges``, ``auth``, ``credentials`` and ``docker_config``
(who we are), ``connection`` and ``repository`` (the specification's requests). With them,
``resolving``, ``downloads`` and ``pull`` get an image; ``uploads``, ``compressing``, ``sources``
and ``push`` send one.
"""
