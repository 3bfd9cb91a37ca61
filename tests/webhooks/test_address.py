"""Webhooks stay out of the network that kern runs in, however an address is written."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import ConfigurationError, InvalidInputError, WebhookError
from kern.webhooks.address import check_webhook, is_public, parse_target, resolve

# Source: https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast.
INTERNAL_V4 = [
    IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
]
INTERNAL_V6 = [
    IPv6Network(each)
    for each in (
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "2001:2::/48", "2001::/32"),
        *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
        *("ff00::/8", "::ffff:0:0:0/96", "4000::/3"),
    )
]


@st.composite
def inside(draw: st.DrawFn, networks: Sequence[IPv4Network | IPv6Network]) -> int:
    network = draw(st.sampled_from(networks))
    return draw(st.integers(int(network[0]), int(network[-1])))


def notations(number: int) -> list[str]:
    """Return the ways in which a system may take an IPv4 address."""
    one, two, three, four = number.to_bytes(4, "big")
    return [
        str(IPv4Address(number)),
        str(number),
        hex(number),
        f"0{number:o}",
        f"{one}.{number & 0xFFFFFF}",
        f"{one}.{two}.{number & 0xFFFF}",
        f"{one:#x}.{two:#x}.{three:#x}.{four:#X}",
        f"0{one:o}.0{two:o}.0{three:o}.0{four:o}",
        f"[::ffff:{IPv4Address(number)}]",
        f"[64:ff9b::{IPv4Address(number)}]",
        f"[{IPv6Address((0x2002 << 112) | (number << 80))}]",
        f"[::{IPv4Address(number)}]",
    ]


@given(inside(INTERNAL_V4))
def test_no_notation_of_an_internal_ipv4_address_is_taken(number: int) -> None:
    assert not is_public(IPv4Address(number))
    for host in notations(number):
        with pytest.raises(InvalidInputError, match="not on the internet"):
            check_webhook(f"https://{host}/")


@given(inside(INTERNAL_V6))
def test_no_internal_ipv6_address_is_taken(number: int) -> None:
    with pytest.raises(InvalidInputError, match="not on the internet"):
        check_webhook(f"https://[{IPv6Address(number)}]:8443/")


@given(st.integers(0, 2**32 - 1).filter(lambda n: IPv4Address(n).is_global), st.integers(0, 9))
def test_all_others_are_taken(number: int, notation: int) -> None:
    networks = [*INTERNAL_V4, IPv4Network("192.88.99.0/24")]
    if not any(IPv4Address(number) in network for network in networks):
        url = f"https://{notations(number)[notation]}/"
        assert check_webhook(url) == url
    assert is_public(ip_address("2606:4700::1111"))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (None, "must be a string, not NoneType"),
        ("", "printable ASCII"),
        ("https://exämple.com/", "printable ASCII"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://exam\tple.com/", "printable ASCII"),
        ("https://example.com/" + "a" * 2029, "at most 2048 characters, not 2049"),
        ("ftp://example.com/", "must begin with https://"),
        ("example.com/hooks", "must begin with https://"),
        ("http://example.com/", "must begin with https://"),
        ("https:///hooks", "no valid host"),
        ("https://example..com/", "no valid host"),
        (f"https://{'a' * 64}.com/", "no valid host"),
        ("https://[fe80::1%25eth0]/", "no valid host"),
        ("https://good.example\\.evil.example/", "no valid host"),
        ("https://[::1/", "Invalid IPv6 URL"),
        ("https://example.com:0/", "no valid port"),
        ("https://example.com:99999/", "Port out of range"),
        ("https://me:secret@example.com/", "user name or password"),
        ("https://good.example\\@10.0.0.1/", "user name or password"),
        ("https://localhost/", "not on the internet"),
        ("https://api.localhost:8080/", "not on the internet"),
    ],
)
def test_what_is_no_webhook_is_refused_in_words(url: object, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=r"webhook .*https://example\.com/hooks") as raised:
        check_webhook(url)
    assert complaint in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_url_is_taken_apart_as_it_is_written() -> None:
    target = parse_target("https://Hooks.Example.com:8443/in?token=1#part")
    assert (target.host, target.port, target.path) == ("hooks.example.com", 8443, "/in?token=1")
    assert target.origin == "https://hooks.example.com:8443"
    assert parse_target("https://[2606::1]").authority == "[2606::1]"


def test_where_it_is_allowed_a_webhook_may_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "1")
    for url in ("http://localhost:8000/", "https://10.0.0.1/", "http://[::1]/"):
        assert check_webhook(url) == url
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "yes")
    with pytest.raises(ConfigurationError, match="must be 0 or 1, not 'yes'"):
        check_webhook("https://example.com/")


@given(st.lists(st.sampled_from(["93.184.216.34", "2606:4700::1111"])), inside(INTERNAL_V4))
async def test_one_internal_address_among_the_answers_is_enough(
    public: list[str], number: int
) -> None:
    loop = asyncio.get_running_loop()
    answers = [*public, str(IPv4Address(number))]

    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers]

    loop.getaddrinfo = look_up  # type: ignore[assignment,method-assign]
    target = parse_target("https://hooks.example.com/in")
    with pytest.raises(WebhookError, match="leads to") as refused:
        await resolve(target)
    assert refused.value.permanent
    answers.pop()
    assert await resolve(target) == public


async def test_a_name_without_an_address_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(host: str, port: int, **_: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    with pytest.raises(WebhookError, match="has no address: Name or service") as failed:
        await resolve(parse_target("https://hooks.example.com/in"))
    assert not failed.value.permanent
