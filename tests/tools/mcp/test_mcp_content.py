"""What servers return, as what a model is told."""

from base64 import b64encode

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from mcp_service import PNG

from kern.run.content import FilePart, ImagePart, Inline, TextPart
from kern.tools.mcp.content import result_of

PICTURE = b64encode(PNG).decode()


def content_of(*blocks: ContentBlock) -> object:
    return result_of(CallToolResult(content=[*blocks])).content


def test_texts_are_one_text() -> None:
    blocks = [TextContent(text="a"), TextContent(text="b")]
    assert content_of(*blocks) == "a\nb"
    assert content_of() == ""


def test_what_a_resource_holds_is_shown_and_where_it_is_is_told() -> None:
    text = TextResourceContents(uri="file:///a.txt", text="inside")
    data = b64encode(b"%PDF-1.4 x").decode()
    blob = BlobResourceContents(uri="file:///b/c.pdf", blob=data, mime_type="application/pdf")
    picture = BlobResourceContents(uri="file:///d.png", blob=PICTURE, mime_type="image/png")
    link = ResourceLink(uri="https://e.com/f", name="f", description="More", mime_type="text/csv")
    assert content_of(
        EmbeddedResource(resource=text),
        EmbeddedResource(resource=blob),
        EmbeddedResource(resource=picture),
        link,
    ) == (
        TextPart("inside"),
        FilePart(Inline(b"%PDF-1.4 x"), "application/pdf", "c.pdf"),
        ImagePart(Inline(PNG), "image/png"),
        TextPart("https://e.com/f (f, More, text/csv)"),
    )


def test_media_that_cannot_be_used_is_named_beside_the_rest() -> None:
    told = content_of(
        TextContent(text="Look:"),
        ImageContent(data="no base64!", mime_type="image/png"),
        AudioContent(data=PICTURE, mime_type="audio/wav"),
        EmbeddedResource(resource=BlobResourceContents(uri="a://b", blob="")),
    )
    assert isinstance(told, str)
    look, picture, sound, resource = told.split("\n")
    assert look == "Look:"
    assert "no base64" in picture
    assert "is no audio" in sound
    assert "is empty" in resource


def test_structured_values_are_told_where_there_is_nothing_else() -> None:
    result = result_of(CallToolResult(content=[], structured_content={"a": ["é"]}, is_error=True))
    assert (result.content, result.data, result.is_error) == ('{"a": ["é"]}', {"a": ["é"]}, True)
