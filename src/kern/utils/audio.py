"""Sound, as files."""

import os
from base64 import b64decode


def write_audio_to_file(audio: str | bytes, filename: str | os.PathLike[str]) -> None:
    """Write sound to a file, and make its directory if it is missing.

    Args:
        audio: the sound in base64; or its bytes, as ``run.response_audio.content`` has them.
        filename: the path of the file; one that is there is replaced.

    Raises:
        ValueError: a text is no base64.
        OSError: the file cannot be written.
    """
    try:
        data = b64decode(audio, validate=True)
    except ValueError:
        if isinstance(audio, str):
            raise
        data = audio
    os.makedirs(os.path.dirname(os.path.abspath(filename)), exist_ok=True)
    with open(filename, "wb") as file:
        file.write(data)
