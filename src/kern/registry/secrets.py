"""What looks like a secret, and is not written down.

Nobody can know of every text whether it is one. This finds those that are called so, and those that
have the form of a key; what a program gives as a key in the first place is left out by its name.
"""

import re

_CALLED = re.compile(
    r"(^|[^a-z])(api_?keys?|access_?keys?|private_?keys?|secrets?(_?keys?)?|passwords?|passwd|pwd"
    r"|tokens?|auth|authorization|bearer|cookies?|credentials?)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_FORMS = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # A password in a URL.
    r"|[?&](api_?key|access_token|token|key|password|secret|signature|sig)=[^&\s]"
    r"|\bbearer\s+[\w.~+/-]{16,}"
    r"|\b(sk-|kern_sk_|github_pat_|gh[pousr]_|xox[abeprs]-|AIza|ya29\.)[\w-]{16,}"
    r"|\bA(KIA|SIA)[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)


def is_called_secret(name: str) -> bool:
    """Say whether what has this name is a secret, such as ``api_key`` or ``X-Auth-Token``."""
    parted = _CAMEL.sub("_", name).lower().replace("-", "_").replace(" ", "_")
    return _CALLED.search(parted) is not None


def has_secret(text: str) -> bool:
    """Say whether a text has the form of a key, or holds a URL with a password."""
    return _FORMS.search(text) is not None
