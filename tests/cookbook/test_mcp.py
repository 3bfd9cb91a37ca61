"""The scripts of cookbook/02_agents/21_mcp do what they say, with the two servers beside them."""

import socket
import subprocess
import sys
import time

import pytest
from cookbook_scripts import COOKBOOK, Cookbook

from kern.testing import Reply

HERE = "02_agents/21_mcp/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def test_a_server_is_started(cookbook: Cookbook) -> None:
    answers = (
        call("shed_look", shelf="top"),
        "A saw.",
        call("shed_throw_away", thing="plane"),
        "Gone.",
    )
    printed = cookbook(HERE + "local_server.py", *answers)
    assert printed.splitlines() == [
        "shed_look -> On the top shelf: a saw and a plane.",
        "A saw.",
        "PAUSED ['shed_throw_away']",
        "The plane is gone. Gone.",
    ]
    tools = cookbook.server.requests[0].body["tools"]
    assert [tool["name"] for tool in tools] == ["shed_look", "shed_throw_away"]


@pytest.mark.nightly  # tests/promises/test_mcp.py has a server ask, by default.
def test_a_server_asks_the_user(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "asks_back.py", call("repair", thing="plane"), "It is mended.")
    assert printed.splitlines() == [
        "PAUSED user_input What is broken at the plane?",
        "[('part', 'which part is broken')]",
        "The blade of the plane is mended. It is mended.",
    ]


@pytest.mark.nightly
def test_a_server_gets_headers_of_each_run(cookbook: Cookbook) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shed = subprocess.Popen([sys.executable, COOKBOOK / HERE / "tool_shed.py", "http", str(port)])
    try:
        _wait_for(port)
        url = f"http://127.0.0.1:{port}/mcp"
        answers = (call("whose_shed"), "Ada's.", call("whose_shed"), "Bob's.")
        printed = cookbook(HERE + "remote_server.py", *answers, SHED_URL=url)
    finally:
        shed.terminate()
        shed.wait(10)
    assert printed.splitlines() == ["ada the shed of ada Ada's.", "bob the shed of bob Bob's."]


@pytest.mark.nightly
def test_several_servers_are_one(cookbook: Cookbook) -> None:
    """Those of tool_shed.py and flower_bed.py."""
    calls = Reply.tool_calls(("look", {"shelf": "low"}), ("water", {"flower": "rose"}))
    printed = cookbook(HERE + "several_servers.py", calls, "It is wet.")
    results = ["On the low shelf: a saw and a plane.", "The rose drinks."]
    assert printed == f"{results} It is wet.\n"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # Nobody is told when a server listens.
