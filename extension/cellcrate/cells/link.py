"""A cell's way to its engine, which outlasts the engine's death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cellcrate import connection
from cellcrate.connection import Engine
from cellcrate.errors import EngineUnreachable
from cellcrate.explain import engine_errors, is_connection_loss

__all__ = ["Link"]

T = TypeVar("T")


class Link:
    """Asks the engine; starts it again and asks again where it died meanwhile.

    Containers outlive the embedded engine, so a question that was lost may be asked again. Another
    engine is somebody else's to start: it is asked once more, and then given up.

    Attributes:
        engine: The engine.
        recoveries: How often it was found dead.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.recoveries = 0

    def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Call a function with docker-py's low-level client, and with what follows here.

        The question has to be harmless when it is asked twice.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: It went away, and cannot be started again.
        """
        with engine_errors():
            try:
                return question(self.engine.api, *arguments)
            except Exception as error:
                if not is_connection_loss(error):
                    raise
            self.recover()
            try:
                return question(self.engine.api, *arguments)
            except Exception as error:
                if not is_connection_loss(error):
                    raise
                raise EngineUnreachable(
                    f"The engine at {self.engine.address} went away while the container ran. "
                    "The container may still run: look with %container ps when it is back."
                ) from None

    def recover(self) -> None:
        """Make sure that there is an engine again."""
        self.recoveries += 1
        if self.engine.embedded:
            self.engine = connection.engine()
