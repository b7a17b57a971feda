"""Who is believed to be a registry, and who we are to it.

A folder of a registry's name, such as ``certs.d/registry.example.com:5000``, holds authorities that
sign its certificate (``*.crt``) and our own certificates for it (``NAME.cert`` with ``NAME.key``).
Source: Docker's documentation, "Verify repository client with certificates".
"""

from __future__ import annotations

import ssl

import urllib3

from cellcrate_runtime.images.registry.endpoints import is_listed
from cellcrate_runtime.images.registry.errors import RegistryUnreachableError
from cellcrate_runtime.images.registry.settings import RegistrySettings

__all__ = ["tls_context"]


def tls_context(netloc: str, settings: RegistrySettings) -> ssl.SSLContext:
    """Make the rules for connections to a host, by the certificates that there are for it.

    Raises:
        RegistryUnreachableError: A certificate cannot be read, or lacks its key.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if is_listed(netloc, settings.insecure):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # The user has said so: there is nobody to be warned.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    for folder in settings.certificates:
        here = folder / netloc
        try:
            for authority in sorted(here.glob("*.crt")):
                context.load_verify_locations(cafile=str(authority))
            for own in sorted(here.glob("*.cert")):
                context.load_cert_chain(str(own), str(own.with_suffix(".key")))
        except OSError as error:  # ssl.SSLError is one
            raise RegistryUnreachableError(
                f"the certificates for {netloc} in {here} cannot be used: {error.strerror}. An "
                "authority is a file NAME.crt, a certificate of yours NAME.cert with NAME.key."
            ) from error
    return context
