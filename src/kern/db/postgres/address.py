"""Connection strings, as people and providers write them, in terms of the driver."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import msgspec

from kern.errors import ConfigurationError

_URL = re.compile(r"(?:postgresql|postgres)(?:\+\w+)?://")
_SCHEME = re.compile(r"\w+(?:\+\w+)?://")
_NAME = re.compile(r"\w{1,40}")

# What the driver takes from its own connection string.
_DRIVER = frozenset(
    (
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("passfile", "krbsrvname", "gsslib", "service"),
    )
)

# What is sent to the server as it is.
_SETTINGS = frozenset(("application_name", "options"))

# What names the server, the database and the user, where the URL's own parts do not.
_PARTS = frozenset(("host", "port", "user", "password", "dbname", "database"))

# What kern does itself.
_OWN = frozenset(
    (
        *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval"),
        *("keepalives_count", "tcp_user_timeout", "target_session_attrs", "load_balance_hosts"),
        *("ssl", "pgbouncer", "fallback_application_name"),
    )
)

# What the driver lacks, and a connection can do without: it binds no channels, speaks no GSS
# encryption, does not compress, always names the server in TLS, and always speaks UTF-8.
_DROPPED = frozenset(
    (
        *("channel_binding", "gssencmode", "gssdelegation", "sslcompression", "sslsni"),
        *("sslcertmode", "client_encoding"),
    )
)

_WRITING = ("any", "read-write", "primary")


class Host(NamedTuple):
    """Where a server listens: a name or address with a port, or the directory of a socket."""

    name: str | None
    port: int | None

    def __str__(self) -> str:
        name = self.name or "localhost"
        return f"[{name}]:{self.port or 5432}" if ":" in name else f"{name}:{self.port or 5432}"


class Keepalive(msgspec.Struct, frozen=True):
    """How a dead connection is found; None is what fits the heartbeat.

    Attributes:
        enabled: whether idle connections are probed at all.
        idle: the seconds of silence before the first probe.
        interval: the seconds between probes.
        count: how many probes may stay unanswered.
        user_timeout: the milliseconds for which sent data may stay unacknowledged.
    """

    enabled: bool = True
    idle: int | None = None
    interval: int | None = None
    count: int | None = None
    user_timeout: int | None = None


class Address(msgspec.Struct, frozen=True):
    """A database and how to get to it.

    Attributes:
        hosts: the servers, in the order in which they are tried.
        user: the role, or None for what libpq would take.
        password: its password, or None for what libpq would take.
        database: the database's name, or None for what libpq would take.
        driver: the parameters that the driver takes as they are, as a query.
        settings: what the server is asked for, names and values.
        connect_timeout: the seconds that connecting to one host may take, or None.
        keepalive: how a dead connection is found.
        any_order: whether the hosts are tried in random order.
        pooled: whether it is said to lead to a pooler in transaction mode.
        system_ca: whether the server's certificate is checked against the system's authorities.
    """

    hosts: tuple[Host, ...]
    user: str | None
    password: str | None
    database: str | None
    driver: str
    settings: tuple[tuple[str, str], ...]
    connect_timeout: int | None
    keepalive: Keepalive
    any_order: bool
    pooled: bool
    system_ca: bool

    def __str__(self) -> str:
        return ",".join(str(host) for host in self.hosts)

    def __repr__(self) -> str:  # Without the password.
        return f"Address({str(self)!r})"


def parse_address(url: object, name: str = "db_url") -> Address:
    """Read a connection string.

    What errors show of it cannot hold its password, however it was mistyped.

    Args:
        url: ``postgresql://user:password@host:port/database?parameter=value``.
        name: the argument's name, for errors.

    Raises:
        ConfigurationError: it cannot be read, or asks for what kern cannot do.
    """
    if not isinstance(url, str) or not _URL.match(url):
        raise ConfigurationError(
            f"{name} must look like postgresql://user:password@host:5432/database, not "
            f"{_shown(url)}."
        )
    return _parsed(url, name)


@lru_cache(16)  # Code that makes a database for each request names the same ones.
def _parsed(url: str, name: str) -> Address:
    try:
        parts = urlsplit(_URL.sub("postgresql://", url, count=1))
        # A query that is empty is no error.
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict"
        )
        query = dict(pairs)
        _check_parts(parts)
        hosts = _hosts(parts, query)
        login, _, _ = parts.netloc.rpartition("@")
        user, password, database = (
            unquote(text, errors="strict") for text in (*login.partition(":")[::2], parts.path[1:])
        )
    except ValueError:
        raise ConfigurationError(
            f"{name} cannot be read. Write its port as a number, and characters of the password "
            "other than letters and digits by their bytes in UTF-8, as in %2F for a slash."
        ) from None
    known = _DRIVER | _SETTINGS | _PARTS | _OWN | _DROPPED
    for unknown in query.keys() - known:
        shown = repr(unknown) if _NAME.fullmatch(unknown) else "one that is not a name"
        raise ConfigurationError(
            f"{name} has a parameter that kern does not know: {shown}. Remove it; settings of the "
            "server are given as in options=-c%20search_path%3Dmine. Known are "
            f"{', '.join(sorted(known))}."
        )
    return Address(
        hosts=hosts,
        user=user or query.get("user"),
        password=password or query.get("password"),
        database=database or query.get("dbname") or query.get("database"),
        driver=_driver(query, _target(query, name, several=len(hosts) > 1)),
        settings=_settings(query),
        connect_timeout=_number(query, name, "connect_timeout"),
        keepalive=_keepalive(query, name),
        any_order=query.get("load_balance_hosts") == "random",
        pooled=query.get("pgbouncer") == "true",
        system_ca=query.get("sslrootcert") == "system",
    )


def _check_parts(parts: SplitResult) -> None:
    """Raise where an @ shows that a password was cut off, at a character that it must not hold."""
    beyond = parts.path + parts.fragment
    if "@" not in parts.netloc:
        beyond += parts.query
    if "@" in beyond:
        raise ValueError


def _hosts(parts: SplitResult, query: Mapping[str, str]) -> tuple[Host, ...]:
    """Return the hosts; those of the query come first, as libpq has it."""
    _, _, listed = parts.netloc.rpartition("@")
    if query.get("host"):
        names = query["host"].split(",")
        ports = query.get("port", "").split(",")
        if len(ports) == 1:
            ports *= len(names)
        return tuple(
            Host(name or None, _port(port)) for name, port in zip(names, ports, strict=True)
        )
    return tuple(_host(text, query.get("port", "")) for text in listed.split(","))


def _host(text: str, default_port: str) -> Host:
    name, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon:
        name, port = text, ""
    if name.startswith("["):
        name = name[1:].removesuffix("]")
        if ":" not in name:
            raise ValueError
    elif ":" in name:
        raise ValueError
    return Host(unquote(name) or None, _port(port or default_port))


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise ValueError
    return int(text)


def _driver(query: Mapping[str, str], target: str) -> str:
    taken = {key: value for key, value in query.items() if key in _DRIVER}
    taken["target_session_attrs"] = target
    if taken.get("sslrootcert") == "system":
        del taken["sslrootcert"]
    if "ssl" in query:  # As drivers of other languages have it.
        mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
        taken.setdefault("sslmode", mode.get(query["ssl"], query["ssl"]))
    return urlencode(taken)


def _settings(query: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    settings = {key: value for key, value in query.items() if key in _SETTINGS}
    if name := query.get("fallback_application_name"):
        settings.setdefault("application_name", name)
    return tuple(sorted(settings.items()))


def _target(query: Mapping[str, str], name: str, *, several: bool) -> str:
    target = query.get("target_session_attrs", "any")
    if target not in _WRITING:
        raise ConfigurationError(
            f"{name} asks for target_session_attrs={target!r}, and kern writes: use read-write or "
            "primary."
        )
    return "read-write" if several and target == "any" else target


def _keepalive(query: Mapping[str, str], name: str) -> Keepalive:
    return Keepalive(
        enabled=query.get("keepalives") != "0",
        idle=_number(query, name, "keepalives_idle"),
        interval=_number(query, name, "keepalives_interval"),
        count=_number(query, name, "keepalives_count"),
        user_timeout=_number(query, name, "tcp_user_timeout"),
    )


def _number(query: Mapping[str, str], name: str, key: str) -> int | None:
    """Return a parameter's number; None where it is left to kern, which 0 and less mean too."""
    text = query.get(key, "0")
    try:
        return max(int(text), 0) or None
    except ValueError:
        raise ConfigurationError(f"{name} has {key}={text!r}, which is not a number.") from None


def _shown(url: object) -> str:
    if not isinstance(url, str):
        return type(url).__name__
    scheme = _SCHEME.match(url)
    return scheme[0] if scheme else "text without ://"
