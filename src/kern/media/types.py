"""What the bytes of media tell of its type."""


def family(mime_type: str) -> str:
    """Return what a type is told from by its bytes: sound and pictures cannot be."""
    kind = mime_type.partition("/")[0]
    return "sound or pictures" if kind in ("audio", "video") else kind


def recognised(data: bytes) -> str | None:
    """Return the type that the first bytes of a file tell."""
    from filetype import guess_mime  # It takes milliseconds to import.

    found = guess_mime(data[:8192])
    return None if found is None else str(found).replace("audio/x-", "audio/")
