"""Images, sound, videos and files, as values."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import encoded, png

from kern.errors import ConfigurationError, InvalidInputError
from kern.media import Audio, File, Image, Media, Video, max_media_size, media_of
from kern.run.content import AudioPart, Blob, FilePart, ImagePart, Inline, Url, blob_of
from kern.run.items import attached_items, detached_items, has_media, references_in
from kern.utils.audio import write_audio_to_file

PNG = png(1)
LONG = "c2ln" * 99
KINDS: list[Any] = [Image, Audio, Video, File]
BEGINNINGS = {
    "image/png": PNG[:40],
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 ",
    "audio/wav": b"RIFF\0\0\0\0WAVEfmt ",
    "audio/mpeg": b"ID3\3\0",
    "audio/ogg": b"OggS",
    "audio/flac": b"fLaC",
    "video/mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "video/webm": b"\x1a\x45\xdf\xa3" + b"\x42\x82\x84webm",
    "application/pdf": b"%PDF-1.7",
}


@pytest.mark.parametrize(("kind", "data"), BEGINNINGS.items(), ids=[*BEGINNINGS])
def test_the_type_of_media_is_what_its_bytes_say(kind: str, data: bytes) -> None:
    media = {"image": Image, "audio": Audio, "video": Video}.get(kind.partition("/")[0], File)
    assert media(content=data).to_part().mime_type == kind
    if media is not File:
        assert media(content=data, format="xyz").to_part().mime_type == kind


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (Image(url="https://example.com/a.JPG?size=2"), "image/jpeg"),
        (Image(url="https://example.com/a"), None),
        (Image(content=b"?", format="png"), "image/png"),
        (Image(content=b"?", mime_type="image/avif"), "image/avif"),
        (Audio(content=b"?", format="wav"), "audio/wav"),
        (Audio(content=b"?", format="pcm16"), "audio/pcm16"),
        (Video(url="https://www.youtube.com/watch?v=1"), "video/mp4"),
        (Video(url="gs://bucket/a.mov"), "video/quicktime"),
        (File(content="a,b", filename="a.csv"), "text/csv"),
        (File(content="Grüße"), "text/plain"),
        (File(content=b"%PDF-", name="a"), "application/pdf"),
        (File(url="https://example.com/a.pdf"), "application/pdf"),
    ],
    ids=repr,
)
def test_else_it_is_what_is_said_of_it(media: Media, kind: str | None) -> None:
    assert media.to_part().mime_type == kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, "needs exactly one of url, filepath and content; 0 were given"),
        ({"url": "https://a/b", "content": b"1"}, "2 were given"),
        ({"filepath": "a", "url": "https://a/b", "content": b"1"}, "3 were given"),
        ({"content": b""}, "is empty"),
        ({"content": 7}, "must be bytes, not int"),
        ({"url": "file:///etc/passwd"}, r"must begin with https://.*filepath="),
        ({"url": "ftp://example.com/a.png"}, "must begin with https://"),
        ({"url": "chart.png"}, "must begin with https://"),
        ({"url": "https://"}, "must begin with https://"),
        ({"url": 7}, "must begin with https://"),
    ],
    ids=repr,
)
def test_media_without_one_usable_source_is_refused(
    kind: Any, sources: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        kind(**sources)


def test_a_text_is_the_content_of_a_file_only() -> None:
    with pytest.raises(InvalidInputError, match=r"Image\.from_base64"):
        Image(content=encoded(PNG))  # type: ignore[arg-type] # what an untyped caller may do
    assert File(content="a").get_content_bytes() == b"a"


@pytest.mark.parametrize(
    ("media", "message"),
    [
        (Image(content=b"%PDF-1.7"), "The image is no image, but application/pdf"),
        (Image(content=b"noise", id="cat"), "The image 'cat' is of no known type"),
        (Image(content=b"noise", mime_type="text/plain"), "of no known type"),
        (Audio(content=PNG), "The audio is no audio, but image/png"),
        (Video(content=b"noise"), 'mime_type="video/'),
        (File(content=b"\xff\xfe\0noise"), "The file is of no known type"),
    ],
    ids=repr,
)
def test_media_of_another_or_no_type_is_refused(media: Media, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        media.to_part()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_when_its_bytes_are_wanted(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    media = kind(filepath=path, mime_type=f"{kind.kind}/x")
    with pytest.raises(InvalidInputError, match=r"'a\.bin' cannot be read: .*No such file"):
        media.get_content_bytes()
    path.write_bytes(b"12")
    assert media.get_content_bytes() == b"12"
    assert media.to_base64() == "MTI="
    with pytest.raises(InvalidInputError, match="has 2 bytes, more than the 1 that"):
        media.to_part(limit=1)
    with pytest.raises(InvalidInputError, match="has 2 bytes, more than the 1 that"):
        kind(content=b"12").to_part(limit=1)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="is no file"):
        File(filepath=tmp_path / "pipe").to_part()


@given(st.binary(min_size=1))
def test_bytes_come_back_from_base64_and_are_never_shown(data: bytes) -> None:
    for kind in KINDS:
        media = kind.from_base64(
            base64.b64encode(data).decode(), mime_type=f"{kind.kind}/x", id="a"
        )
        assert media.get_content_bytes() == data
        assert base64.b64decode(media.to_base64()) == data
        blob = blob_of(data)
        assert media.to_dict() == {
            "id": "a",
            "mime_type": f"{kind.kind}/x",
            "hash": blob.hash,
            "size": blob.size,
        }
        json.dumps(media.to_dict())
        assert "content" not in repr(media)
    with pytest.raises(InvalidInputError, match="no base64"):
        Image.from_base64("ä")


def test_a_data_url_is_its_content() -> None:
    image = Image(url=f"data:image/png;base64,{encoded(PNG)}")
    assert (image.url, image.content, image.mime_type) == (None, PNG, "image/png")


def test_what_is_elsewhere_is_not_fetched() -> None:
    with pytest.raises(InvalidInputError, match=r"is at https://example\.com/a; kern fetches"):
        Image(url="https://example.com/a").get_content_bytes()
    blob = blob_of(PNG)
    image = media_of(ImagePart(blob, "image/png", "low"))
    assert isinstance(image, Image)
    assert (image.id, image.hash, image.size, image.detail) == (blob.hash, blob.hash, 4908, "low")
    for use in (image.get_content_bytes, image.to_part):
        with pytest.raises(InvalidInputError, match="aload_media"):
            use()


def test_media_of_a_run_is_what_its_part_says() -> None:
    sound = media_of(AudioPart(Inline(b"1"), "audio/wav", "Hello."))
    assert isinstance(sound, Audio)
    assert (sound.content, sound.transcript) == (b"1", "Hello.")
    assert isinstance(media_of(FilePart(Url("https://a/b"), "video/mp4")), Video)
    file = media_of(FilePart(Blob("ab", 1), "text/csv", "a.csv"), b"1")
    assert isinstance(file, File)
    assert (file.filename, file.content, file.mime_type) == ("a.csv", b"1", "text/csv")


def test_a_file_of_the_provider_is_given_by_its_address() -> None:
    class Uploaded:
        uri, mime_type = "https://generativelanguage.googleapis.com/v1beta/files/a", "video/mp4"

    part = FilePart(Url(Uploaded.uri), "video/mp4")
    assert File(external=Uploaded()).to_part() == part
    for options in ({"external": object()}, {"external": Uploaded(), "url": "https://a/b"}):
        with pytest.raises(InvalidInputError, match="external must be a file with an address"):
            File(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "expected"),
    [("", 50 * 2**20), ("7", 7), ("1KB", 1024), ("2 MiB", 2 * 2**20), ("1g", 2**30)],
)
def test_sizes(monkeypatch: pytest.MonkeyPatch, size: str, expected: int) -> None:
    monkeypatch.setenv("KERN_MAX_MEDIA_SIZE", size)
    assert max_media_size() == expected


@pytest.mark.parametrize("size", ["big", "-1", "1.5MB", "MB", "1TB"])
def test_a_size_that_is_none(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("KERN_MAX_MEDIA_SIZE", size)
    with pytest.raises(ConfigurationError, match=f"KERN_MAX_MEDIA_SIZE must be .*'{size}'"):
        max_media_size()


def as_item(data: bytes) -> st.SearchStrategy[dict[str, object]]:
    """Return an item with data where one of the providers has it."""
    text = encoded(data)
    return st.sampled_from(
        [
            {"type": "image_generation_call", "id": "1", "result": text},
            {
                "inlineData": {"mimeType": "image/png", "data": text},
                "thoughtSignature": LONG,
            },
            {"content": [{"source": {"type": "base64", "media_type": "a/b", "data": text}}]},
            {"images": [{"image_url": {"url": f"data:image/png;base64,{text}"}}]},
            {"outputs": [[{"url": f"data:image/png;base64,{text}", "data": {"data": 7}}]]},
        ]
    )


@given(
    st.lists(st.binary(min_size=60).flatmap(lambda data: st.tuples(st.just(data), as_item(data))))
)
def test_what_is_taken_of_a_provider_s_items_comes_back_as_it_was(
    given: list[tuple[bytes, dict[str, object]]],
) -> None:
    items = [item for _, item in given]
    before, found = json.dumps(items), dict[str, bytes]()
    detached = detached_items(items, found)
    assert json.dumps(items) == before
    assert not has_media(detached)
    assert {*references_in(detached)} == {*found} == {blob_of(data).hash for data, _ in given}
    stored = json.loads(json.dumps(detached))
    assert attached_items(stored, found) == items
    assert all(encoded(data)[:60] not in json.dumps(stored) for data, _ in given)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "encrypted_content": LONG},
        {"type": "thinking", "signature": LONG},
        {"functionCall": {"args": {"data": LONG}}},
        {"source": {"type": "text", "media_type": "text/plain", "data": "word" * 99}},
        {"inlineData": {"mimeType": "image/png", "data": "no base64!" * 99}},
        {"inlineData": {"mimeType": "image/png", "data": "c2ln"}},
    ],
    ids=repr,
)
def test_what_is_no_media_stays_in_its_item(item: dict[str, object]) -> None:
    found: dict[str, bytes] = {}
    assert detached_items([item], found)[0] is item
    assert not found


def test_sound_is_written_to_a_file_whose_directory_is_made(tmp_path: Path) -> None:
    text = encoded(b"RIFF\xff")
    sounds: list[str | bytes] = [text, text.encode(), b"RIFF\xff"]
    for number, sound in enumerate(sounds):
        path = tmp_path / "made" / f"{number}" / "a.wav"
        write_audio_to_file(sound, str(path))
        assert path.read_bytes() == b"RIFF\xff"
