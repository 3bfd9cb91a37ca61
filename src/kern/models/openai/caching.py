"""Which requests are to meet in OpenAI's prompt cache.

Source: https://developers.openai.com/api/docs/guides/prompt-caching
"""

from collections.abc import Mapping
from hashlib import blake2s

from kern.models.base import ModelRequest

_KEY = "prompt_cache_key"
_OPENAI = "api.openai.com/"


def with_cache_key(
    own: Mapping[str, object], request: ModelRequest, server: str
) -> Mapping[str, object]:
    """Return the parameters of a model with the key by which the provider chooses a cache.

    Requests of one conversation begin alike, and are few a minute, so they have one key. Other
    servers may not know the parameter.

    Args:
        own: the parameters; a key in them stays, and an empty one stands for none.
        request: what is asked.
        server: who is asked.
    """
    if _KEY in own:
        return own if own[_KEY] else {name: own[name] for name in own if name != _KEY}
    if request.session_id is None or not server.startswith(_OPENAI):
        return own
    conversation = request.session_id.encode(errors="surrogatepass")
    return {**own, _KEY: blake2s(conversation, digest_size=16).hexdigest()}
