"""The way to an address: straight, or through the proxy that the environment names.

As other programs do, this heeds HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case.
"""

from __future__ import annotations

import urllib.request
from typing import Any
from urllib.parse import urlsplit

import urllib3

__all__ = ["pool_for"]


def pool_for(url: str, **options: Any) -> urllib3.PoolManager:
    """Connections for an address and others that are reached in the same way.

    Args:
        options: What :class:`urllib3.PoolManager` takes.
    """
    proxy = _proxy_for(url)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
