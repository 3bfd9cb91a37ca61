"""Where a webhook goes, and the guard that keeps it out of the network that kern runs in.

A user who chooses the URL has kern's machine send a request. Without the guard it could reach what
only that machine reaches: the cloud's metadata, databases, the services of the neighbours.
"""

import asyncio
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from kern.errors import ConfigurationError, InvalidInputError, WebhookError

ALLOW_PRIVATE = "KERN_WEBHOOK_ALLOW_PRIVATE"
"""The setting that lets webhooks go to private addresses."""

_LONGEST_URL = 2048
_URL = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PORTS = {"https": 443, "http": 80}

# All that is routed on the internet today. What lies outside of it is reserved, local, multicast
# or a way to write an IPv4 address.
_UNICAST = ip_network("2000::/3")
# Networks without IPv4 reach the IPv4 internet through these addresses, which end in the real one.
_NAT64 = ip_network("64:ff9b::/96")
# What Python, or an older Python, takes for the internet.
_INTERNAL = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host, as its guests see it
        "192.0.0.0/24",  # protocols; Oracle's metadata service is in it
        "192.88.99.0/24",  # relays of 6to4
        "2002::/16",  # 6to4, an IPv4 address in disguise, out of use
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart once for all.

    Attributes:
        scheme: ``"https"`` or ``"http"``.
        host: a name in lower case, or an IP address as it is usually written, without brackets.
        port: the TCP port.
        path: what is asked of the host, with the query.
        authority: the host with brackets where it needs them, and any port but the usual one.
    """

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    @property
    def origin(self) -> str:
        """The URL as far as it may be logged: a path may hold a secret."""
        return f"{self.scheme}://{self.authority}"


def check_webhook(url: object) -> str:
    """Return ``url`` if a run can have it as its webhook.

    Names are looked up at each delivery, not here.

    Args:
        url: an ``https`` URL of at most 2048 characters. Where ``KERN_WEBHOOK_ALLOW_PRIVATE`` is
            1, for receivers inside the network, ``http`` and private addresses will do as well.

    Raises:
        InvalidInputError: it is anything else.
        ConfigurationError: ``KERN_WEBHOOK_ALLOW_PRIVATE`` is neither 0 nor 1.
    """
    try:
        if not isinstance(url, str):
            raise ValueError(f"must be a string, not {type(url).__name__}")
        _check_target(parse_target(url))
    except ValueError as error:
        raise InvalidInputError(
            f"webhook {error}. Pass a URL such as https://example.com/hooks/kern."
        ) from None
    return url


def parse_target(url: str) -> Target:
    """Take a URL apart.

    Raises:
        ValueError: it is not the URL of a web server.
    """
    if len(url) > _LONGEST_URL:
        raise ValueError(f"must have at most {_LONGEST_URL} characters, not {len(url)}")
    if not _URL.fullmatch(url):
        raise ValueError("must be printable ASCII: encode the path by percent, the host by xn--")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    host = parts.hostname or ""
    literal = _literal(host)
    if not _NAME.fullmatch(host) and not isinstance(literal, IPv6Address):
        raise ValueError("has no valid host")
    host = str(literal or host)
    if parts.port == 0:
        raise ValueError("has no valid port")
    port = parts.port or _PORTS[parts.scheme]
    query = f"?{parts.query}" if parts.query else ""
    authority = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        authority += f":{port}"
    return Target(parts.scheme, host, port, (parts.path or "/") + query, authority)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is on the internet, and nowhere closer."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address not in _UNICAST:
            return False
    internal = any(address in network for network in _INTERNAL)
    return address.is_global and not address.is_multicast and not internal


async def resolve(target: Target, setting: str = ALLOW_PRIVATE) -> list[str]:
    """Return the addresses of a target, to be connected to as they are.

    A name that is looked up once more may answer with another address.

    Args:
        target: where to.
        setting: the variable of the environment that allows private addresses where it is 1.

    Raises:
        WebhookError: it has none, or one of them is inside the network and that is not allowed.
        ConfigurationError: the setting is neither 0 nor 1.
    """
    try:
        _check_target(target, setting)
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM
        )
    except ValueError as error:
        raise WebhookError(f"{target.origin} {error}", permanent=True) from None
    except OSError as error:
        raise WebhookError(f"{target.origin} has no address: {error.strerror}") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(ip_address(address)) and not _private_allowed(setting):
            raise WebhookError(f"{target.origin} {_private(address, setting)}", permanent=True)
    return addresses


def _check_target(target: Target, setting: str = ALLOW_PRIVATE) -> None:
    """Refuse what no answer of a name server can mend."""
    if _private_allowed(setting):
        return
    if target.scheme == "http":
        raise ValueError(f"must begin with https://: {_remedy(setting)}")
    address = _literal(target.host)
    local = target.host == "localhost" or target.host.endswith(".localhost")
    if local or (address is not None and not is_public(address)):
        raise ValueError(_private(address or target.host, setting))


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a URL, in any notation that a system would understand."""
    if "%" in host:
        return None
    with suppress(ValueError):
        return ip_address(host)
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(host))  # 2130706433, 0x7f.1 and 0177.1 are 127.0.0.1.
    return None


def _remedy(setting: str) -> str:
    return f"http:// and private addresses need {setting}=1"


def _private(address: object, setting: str) -> str:
    return f"leads to {address}, which is not on the internet: {_remedy(setting)}"


def _private_allowed(setting: str) -> bool:
    allowed = os.environ.get(setting, "0")
    if allowed not in ("0", "1"):
        raise ConfigurationError(f"{setting} must be 0 or 1, not {allowed!r}.")
    return allowed == "1"
