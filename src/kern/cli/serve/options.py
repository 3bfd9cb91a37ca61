"""What a process that serves has to know, and who may be let in without being known."""

import json
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Literal, Self, TypeAlias, cast

from kern.errors import ConfigurationError

Way: TypeAlias = Literal["keys", "jwt", "none", "insecure"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user has chosen; the environment holds the rest.

    Attributes:
        targets: the agents, each ``module:attribute``.
        auth: how callers are known; ``insecure`` where nobody is, and everybody may ask.
        worker: whether background runs are executed.
        workers: how many processes there are.
        grace: seconds that foreground runs have when the server ends.
        log: ``text`` or ``json``.
        otel: whether runs are observed by OpenTelemetry.
        ui: whether the page is served, too.
        form: what is served: the whole service, or only agents as tools of MCP.
    """

    targets: list[str]
    auth: Way
    worker: bool
    workers: int
    grace: float
    log: str
    otel: bool = False
    ui: bool = True
    form: Literal["service", "mcp"] = "service"

    def to_json(self) -> str:
        """Return them as text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read them."""
        return cls(**json.loads(text))


def auth_of(host: str, auth: str | None, *, insecure: bool) -> Way:
    """Return how callers are known who reach an address.

    Args:
        host: the address that is listened on.
        auth: ``keys``, ``jwt`` or ``none``; None where nothing was chosen.
        insecure: whether others than this machine may ask without being known.

    Raises:
        ConfigurationError: others could, and nobody has said that they may.
    """
    if auth in ("keys", "jwt"):
        return cast(Way, auth)
    if insecure:
        return "insecure"
    if not _is_own(host):
        raise ConfigurationError(
            f"{host or 'Every address'} can be reached from other machines, and nobody would have "
            "to say who they are. Choose --auth keys (see «kern keys create») or --auth jwt; or "
            "--insecure, where something in front lets in only whom you know."
        )
    return "none"


def _is_own(host: str) -> bool:
    """Say whether only this machine reaches an address; a name may be anything."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
