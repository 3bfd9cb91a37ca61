"""Models as text: ``"provider:id"``."""

from importlib import import_module

from kern.errors import ConfigurationError
from kern.keywords import shown
from kern.models.base import Model

_CLASSES = {
    "openai": ("openai", "OpenAIResponses"),
    "openai-responses": ("openai", "OpenAIResponses"),
    "openai-chat": ("openai", "OpenAIChat"),
    "anthropic": ("anthropic", "Claude"),
    "google": ("google", "Gemini"),
    "aws-claude": ("aws", "Claude"),
    "azure": ("azure", "AzureOpenAI"),
    "deepseek": ("deepseek", "DeepSeek"),
    "groq": ("groq", "Groq"),
    "litellm": ("litellm", "LiteLLM"),
    "lmstudio": ("lmstudio", "LMStudio"),
    "mistral": ("mistral", "MistralChat"),
    "ollama": ("ollama", "Ollama"),
    "openrouter": ("openrouter", "OpenRouter"),
    "together": ("together", "Together"),
    "vllm": ("vllm", "VLLM"),
    "xai": ("xai", "xAI"),
}


def get_model(model: Model | str | None = None) -> Model:
    """Return a model.

    Args:
        model: the model itself; a text such as ``"openai:gpt-5.4"`` or ``"ollama:qwen3:8b"``; or
            None for ``OpenAIResponses()``.

    Raises:
        ConfigurationError: there is no such provider, or the text names no model.

    Example:
        >>> get_model("anthropic:claude-sonnet-5-5")
        Claude('claude-sonnet-5-5')
    """
    if isinstance(model, Model):
        return model
    if model is None:
        return _made("openai")
    if isinstance(model, type):
        raise ConfigurationError(f"A model is needed, not {shown(model)}.")
    provider, _, id = model.partition(":") if isinstance(model, str) else ("", "", "")
    provider, id = provider.strip().lower(), id.strip()
    if provider not in _CLASSES or not id:
        raise ConfigurationError(
            f"{model!r:.100} is no model. Pass one, such as OpenAIResponses(), or a text "
            f'"provider:id", such as "openai:gpt-5.4"; the providers are {", ".join(_CLASSES)}.'
        )
    return _made(provider, id)


def _made(provider: str, *id: str) -> Model:
    module, name = _CLASSES[provider]
    made: Model = getattr(import_module(f"kern.models.{module}"), name)(*id)
    return made
