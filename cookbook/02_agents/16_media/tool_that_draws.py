"""A tool that makes an image: the model sees it, and the run has it."""

import struct
import zlib

from kern.agent import Agent
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.tools.function import ToolResult


def png(red: int, green: int, blue: int) -> bytes:
    """Return an image of one pixel in this colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes([0, red, green, blue]))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def mix(red: int, green: int, blue: int) -> ToolResult:
    """Mix a colour, each part from 0 to 255."""
    return ToolResult(content="Mixed.", images=[Image(content=png(red, green, blue))])


dyer = Agent(name="Dyer", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[mix])

if __name__ == "__main__":
    run = dyer.run("Mix me a warm yellow.")
    image = run.images[0]
    print(run.content, image.mime_type, len(image.get_content_bytes()) > 60)
