"""One registry at one of its addresses: that it is one, and who it wants to hear from.

Source: distribution-spec 1.1, spec.md, "Determining Support".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urljoin, urlsplit

from cellcrate_runtime.images.registry.auth import Authenticator, Scope
from cellcrate_runtime.images.registry.challenges import parse_challenges
from cellcrate_runtime.images.registry.complaints import complaint
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.endpoints import Endpoint, endpoints
from cellcrate_runtime.images.registry.errors import (
    LoginFailedError,
    RegistryError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.failures import NotTLSError
from cellcrate_runtime.images.registry.transport import Body, Response, Transport

__all__ = ["Connection", "connect", "connections"]


class Connection:
    """An address of a registry that answers.

    Attributes:
        endpoint: The address.
        auth: What is shown to it.
    """

    def __init__(self, endpoint: Endpoint, transport: Transport, credential: Credential) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.credential = credential
        self.auth = Authenticator(transport, credential)

    def check(self) -> None:
        """See that a registry answers here.

        Raises:
            RegistryUnreachableError: Nobody does, or somebody that is no registry.
        """
        with self.transport.request("GET", f"{self.endpoint.url}/v2/") as response:
            if response.status not in (200, 401):
                raise RegistryUnreachableError(
                    f"{self.endpoint.host} is no registry: it answers {response.status} to what "
                    "every registry knows."
                )

    def request(
        self,
        method: str,
        path: str,
        scopes: Sequence[Scope],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        attempts: int | None = None,
        expected: Sequence[int] = (200,),
    ) -> Response:
        """Send a request, saying who we are as the registry wants to hear it.

        Args:
            path: From ``/v2/`` on, or an address that the registry gave.
            scopes: What the request needs the right for.
            expected: The statuses that are no failure.

        Raises:
            RegistryError: Any other status, as the kind of error that it means; or no answer.
        """
        url = urljoin(f"{self.endpoint.url}/", path.lstrip("/") if path.startswith("/v2") else path)
        own = self.owns(url)
        for may_answer in (True, False):
            shown = self.auth.known(scopes) if own else None
            response = self.transport.request(
                method,
                url,
                headers=headers,
                authorization=shown,
                body=body,
                attempts=attempts,
            )
            if response.status in expected:
                return response
            with response:
                if response.status != 401 or not own or not may_answer:
                    raise self._refused(response)
                self.auth.answer(
                    parse_challenges(response.headers.get("WWW-Authenticate", "")), scopes
                )
        raise AssertionError("the second answer is final")

    def owns(self, url: str) -> bool:
        """Whether an address is of this registry, so that it may know who we are."""
        mine, other = urlsplit(self.endpoint.url), urlsplit(url)
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)

    def _refused(self, response: Response) -> RegistryError:
        error = complaint(response)
        if response.status == 401 and self.credential.has_password:
            return LoginFailedError(str(error), error.code)
        return error


def connections(
    domain: str, transport: Transport, credential: Credential, *, mirrors: bool
) -> Iterator[Connection]:
    """Yield connections to a registry: to mirrors that answer, and last to itself.

    Raises:
        RegistryUnreachableError: It does not answer itself.
    """
    own = []
    for endpoint in endpoints(domain, transport.settings, mirrors=mirrors):
        if not endpoint.mirror:
            own.append(endpoint)
            continue
        # A mirror is somebody else: the registry's password is none of its business.
        connection = Connection(endpoint, transport, ANONYMOUS)
        try:
            connection.check()
        except RegistryError:
            continue
        yield connection
    yield _first_of(own, transport, credential)


def connect(domain: str, transport: Transport, credential: Credential) -> Connection:
    """Connect to a registry itself.

    Raises:
        RegistryUnreachableError: It does not answer.
    """
    return next(connections(domain, transport, credential, mirrors=False))


def _first_of(own: Sequence[Endpoint], transport: Transport, credential: Credential) -> Connection:
    """The connection with TLS, or the one without where that is allowed and there is no TLS."""
    for endpoint in own:
        connection = Connection(endpoint, transport, credential)
        try:
            connection.check()
        except RegistryUnreachableError as error:
            # A bad certificate is no reason to do without one.
            no_tls = isinstance(error, NotTLSError) or ":" not in endpoint.host.rpartition("]")[2]
            if endpoint is own[-1] or not no_tls:
                raise
        else:
            return connection
    raise AssertionError("a registry has at least one address")
