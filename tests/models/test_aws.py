"""Claude on Amazon Bedrock."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest
from asking import Ask

from kern.errors import ConfigurationError, MissingExtraError, ModelError
from kern.models.aws import Claude
from kern.models.utils import get_model
from kern.testing import ProtocolServer, Reply

NewClaude = Callable[..., Claude]
KEYS = {"aws_access_key": "AKIATEST", "aws_secret_key": "secret of the test"}


@pytest.fixture(autouse=True)
def _nothing_of_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Keep what this machine knows of AWS away from the tests."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def new_claude(server: ProtocolServer) -> AsyncIterator[NewClaude]:
    made: list[Claude] = []

    def make(**options: Any) -> Claude:
        usual: dict[str, Any] = {
            "base_url": server.url,
            "aws_region": "eu-west-1",
            "max_retries": 0,
        }
        made.append(Claude("anthropic.claude-test", **(usual | options)))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


async def test_it_is_asked_with_a_key_of_bedrock(
    new_claude: NewClaude, server: ProtocolServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key-of-the-environment")
    server.script.append(Reply.text("Hel", "lo."))
    response = await ask(new_claude(), "Hi")
    [asked] = server.requests
    assert response.message.text == "Hello."
    assert (asked.path, asked.body["model"]) == ("/v1/messages", "anthropic.claude-test")
    assert asked.headers["authorization"] == "Bearer key-of-the-environment"


async def test_a_call_is_signed_as_it_arrives(
    new_claude: NewClaude, server: ProtocolServer, ask: Ask
) -> None:
    awsrequest, auth, credentials = (
        pytest.importorskip(f"botocore.{each}") for each in ("awsrequest", "auth", "credentials")
    )
    await ask(new_claude(**KEYS), "Hi")
    [asked] = server.requests
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIATEST/\d+/eu-west-1/bedrock-mantle/aws4_request, "
        r"SignedHeaders=(.*), Signature=(.*)",
        asked.headers["authorization"],
    )
    assert found is not None
    signed = {name: asked.headers[name] for name in found[1].split(";")}
    again = awsrequest.AWSRequest(
        "POST",
        f"{server.url}{asked.path}",
        signed,
        json.dumps(asked.body, separators=(",", ":")).encode(),
    )
    again.context["timestamp"] = asked.headers["x-amz-date"]
    signer = auth.SigV4Auth(credentials.Credentials(*KEYS.values()), "bedrock-mantle", "eu-west-1")
    canonical = signer.canonical_request(again)
    assert signer.signature(signer.string_to_sign(again, canonical), again) == found[2]
    assert datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").year > 2000


async def test_without_credentials_it_says_what_is_missing(
    new_claude: NewClaude, server: ProtocolServer, ask: Ask
) -> None:
    pytest.importorskip("botocore")
    with pytest.raises(ModelError, match="with the credentials of AWS: Could not") as raised:
        await ask(new_claude(), "Hi")
    assert raised.value.kind == "authentication"
    with pytest.raises(ModelError, match="The config profile"):
        await ask(new_claude(aws_profile="nobody"), "Hi")
    assert server.requests == []


async def test_without_boto3_it_says_what_to_install(
    new_claude: NewClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(MissingExtraError, match=r"kern-agents\[bedrock\]"):
        await new_claude(**KEYS).prepare()


async def test_without_a_region_there_is_no_server() -> None:
    with pytest.raises(ConfigurationError, match="No AWS region or base URL found"):
        await Claude(api_key="key").prepare()


def test_its_server_is_that_of_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    model = get_model("aws-claude:anthropic.claude-test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    server = "bedrock-mantle.us-west-2.api.aws/anthropic"
    assert model.origin == f"Bedrock {server} anthropic.claude-test"


async def test_a_refusal_names_what_to_check(
    new_claude: NewClaude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.http_error(401, "It is so."))
    with pytest.raises(ModelError, match=r"It is so\. Check AWS_BEARER_TOKEN_BEDROCK\."):
        await ask(new_claude(api_key="key"), "Hi")
