"""Servers that speak OpenAI's protocols elsewhere: their addresses, keys and options."""

from typing import Any

import pytest
from asking import Ask, ask_for_the_whole
from openai import AsyncOpenAI, OpenAI

from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.models.azure import AzureOpenAI
from kern.models.base import Model, ModelRequest
from kern.models.deepseek import DeepSeek
from kern.models.groq import Groq
from kern.models.lmstudio import LMStudio
from kern.models.ollama import Ollama
from kern.models.openai import OpenAIChat, OpenAILike, OpenAIResponses
from kern.models.openrouter import OpenRouter
from kern.models.utils import get_model
from kern.models.vllm import VLLM
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

HI = ModelRequest([Message("user", "Hi")])


@pytest.mark.parametrize(
    ("api", "path"), [("chat", "/chat/completions"), ("responses", "/responses")]
)
async def test_a_server_is_asked_in_the_protocol_that_it_speaks(
    server: ResponsesServer, ask: Ask, api: Any, path: str
) -> None:
    model = OpenAILike("local", base_url=server.base_url, api=api, temperature=0.5)
    server.script.append(Reply.tool_calls(("add", {})))
    answer = (await ask(model, "Hi")).message
    assert [call.name for call in answer.tool_calls] == ["add"]
    [request] = server.requests
    assert request.path.endswith(path)
    assert (request.body["model"], request.body["temperature"]) == ("local", 0.5)
    await model.aclose()


async def test_openais_key_is_sent_to_nobody_else(
    server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/never")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-openai")
    for model in (
        OpenAILike("local", base_url=server.base_url),
        VLLM("v", base_url=server.base_url),
    ):
        await model.respond(HI)
        await model.aclose()
    assert "of-openai" not in str([request.headers for request in server.requests])


@pytest.mark.parametrize(
    ("model", "variables", "address"),
    [
        (Ollama(), {}, "localhost:11434/v1"),
        (Ollama(), {"OLLAMA_HOST": "0.0.0.0:9999"}, "0.0.0.0:9999/v1"),
        (Ollama(), {"OLLAMA_HOST": "https://ollama.com/"}, "ollama.com/v1"),
        (Groq(), {}, "api.groq.com/openai/v1"),
        (OpenRouter(), {}, "openrouter.ai/api/v1"),
        (LMStudio("l"), {}, "localhost:1234/v1"),
        (
            AzureOpenAI(),
            {"AZURE_OPENAI_ENDPOINT": "https://us.azure.com/"},
            "us.azure.com/openai/v1",
        ),
        (
            AzureOpenAI(),
            {"AZURE_OPENAI_ENDPOINT": "https://us.azure.com/openai/v1"},
            "us.azure.com/openai/v1",
        ),
        (AzureOpenAI(base_url="https://eu.azure.com/openai/v1"), {}, "eu.azure.com/openai/v1"),
    ],
)
def test_a_preset_knows_its_server(
    model: OpenAILike,
    variables: dict[str, str],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert model.origin == f"{model.provider} {address} {model.id}"


async def test_the_key_of_a_preset_is_in_its_variable(
    server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    model = DeepSeek(base_url=server.base_url, max_retries=0)
    with pytest.raises(
        MissingKeyError, match="deepseek-chat: set DEEPSEEK_API_KEY, or pass api_key"
    ):
        await model.respond(HI)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-deep-secret")
    await model.respond(HI)
    assert server.requests[-1].headers["authorization"] == "Bearer sk-deep-secret"
    server.script.append(Reply.http_error(401, "No such key: sk-deep-secret"))
    with pytest.raises(Exception, match=r"No such key: \*\*\*\. Check DEEPSEEK_API_KEY\."):
        await model.respond(HI)
    await model.aclose()


async def test_a_server_without_an_address_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(ConfigurationError, match="Pass base_url, or set AZURE_OPENAI_ENDPOINT"):
        await AzureOpenAI(api_key="none").respond(HI)
    with pytest.raises(ConfigurationError, match="local has no address"):
        await OpenAILike("local").respond(HI)
    with pytest.raises(ConfigurationError, match="VLLM needs the id of a model"):
        VLLM()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (
            OpenAIChat,
            {"temprature": 1},
            r"OpenAIChat\(\) got .* 'temprature'\. Did you mean 'temperature'",
        ),
        (OpenAIResponses, {"stop": "x"}, r"OpenAIResponses\(\) got an .* argument 'stop'"),
        (OpenAILike, {"api": "responses", "seed": 1}, r"OpenAILike\(\) got an .* argument 'seed'"),
        (Groq, {"truncation": "auto"}, r"Groq\(\) got an .* argument 'truncation'"),
    ],
)
def test_an_option_that_there_is_not_is_refused(
    kind: Any, options: dict[str, object], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        kind("m", **options)


async def test_an_address_that_is_set_later_is_asked_from_then_on(server: ResponsesServer) -> None:
    model = OpenAIChat(base_url="http://127.0.0.1:9/v1", api_key="sk-test", max_retries=0)
    await model.prepare()
    model.base_url = server.base_url
    assert (await model.respond(HI)).message.text == "Hello."
    assert server.base_url.removeprefix("http://") in model.origin
    await model.aclose()


async def test_a_client_that_is_set_later_is_used_from_then_on(server: ResponsesServer) -> None:
    model = OpenAIChat(base_url="http://127.0.0.1:9/v1", api_key="sk-test", max_retries=0)
    async with AsyncOpenAI(api_key="sk-theirs", base_url=server.base_url) as client:
        model.client = client
        assert (await model.respond(HI)).message.text == "Hello."
        model.client = None
        with pytest.raises(ModelError, match="cannot be reached"):
            await model.respond(HI)
    await model.aclose()


async def test_a_client_of_the_sdk_is_used_as_it_is_and_not_closed(
    server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.http_error(500))
    async with AsyncOpenAI(
        api_key="sk-theirs", base_url=server.base_url, default_headers={"x-mine": "1"}
    ) as client:
        model = OpenAIChat(async_client=client, max_retries=0, extra_headers={"x-more": "2"})
        with pytest.raises(Exception, match="answered 500"):
            await ask(model, "Hi")
        assert len(server.requests) == 1  # The SDK does not repeat it.
        await ask(model, "Hi")
        await model.aclose()
        assert not client.is_closed()
    headers = server.requests[-1].headers
    assert (headers["x-mine"], headers["x-more"]) == ("1", "2")
    assert headers["authorization"] == "Bearer sk-theirs"


async def test_an_http_client_of_the_user_is_used_and_not_closed(server: ResponsesServer) -> None:
    from httpx2 import AsyncClient

    async with AsyncClient(headers={"x-mine": "1"}) as http_client:
        model = OpenAIChat(
            base_url=server.base_url,
            api_key="sk-test",
            http_client=http_client,
            organization="org-1",
            client_params={"project": "proj-1"},
        )
        await model.respond(HI)
        await model.aclose()
        assert not http_client.is_closed
    headers = server.requests[-1].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


def test_a_client_that_is_not_asynchronous_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="client is a OpenAI; kern needs an asynchronous"):
        OpenAIChat(client=OpenAI(api_key="sk-test"))  # type: ignore[arg-type] # the point of it


@pytest.mark.parametrize(
    ("text", "kind", "id"),
    [
        (None, OpenAIResponses, "gpt-5.4-mini"),
        ("openai:gpt-5.4", OpenAIResponses, "gpt-5.4"),
        ("openai-chat:gpt-5.4", OpenAIChat, "gpt-5.4"),
        (" OpenAI : gpt-5.4 ", OpenAIResponses, "gpt-5.4"),
        ("ollama:qwen3:8b", Ollama, "qwen3:8b"),
        ("azure:my-deployment", AzureOpenAI, "my-deployment"),
        ("groq:llama", Groq, "llama"),
    ],
)
def test_a_model_can_be_a_text(text: str | None, kind: type[Model], id: str) -> None:
    model = get_model(text)
    assert (type(model), model.id) == (kind, id)
    assert get_model(model) is model


@pytest.mark.parametrize("text", ["", "gpt-5.4", "openai", "openai:", "nobody:gpt", ":gpt"])
def test_a_text_that_names_no_model_says_what_does(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r'such as "openai:gpt-5\.4"; the providers are'):
        get_model(text)


@pytest.mark.parametrize(
    "name",
    [
        *("azure", "deepseek", "groq", "litellm", "lmstudio", "mistral"),
        *("ollama", "openrouter", "together", "vllm", "xai"),
    ],
)
async def test_each_preset_can_be_asked(server: ResponsesServer, name: str) -> None:
    model = get_model(f"{name}:m")
    assert isinstance(model, OpenAILike)
    made = type(model)("m", base_url=server.base_url, api_key="sk-test")
    assert (await ask_for_the_whole(made, "Hi")).message.text == "Hello."
    await made.aclose()
