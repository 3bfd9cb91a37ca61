"""What a knowledge base is to be loaded with: files, pages of the web, texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

from kern.errors import ContentError, InvalidInputError
from kern.run.codec import decode_object, encode

Value = TypeVar("Value")

_STRINGS = re.compile(r"[\0\ud800-\udfff]")


class Source(NamedTuple):
    """Where one content comes from.

    Attributes:
        kind: what it is.
        location: the path of a file, a URL, or what names a text.
        name: what people call it.
        text: the text itself, if it is one.
    """

    kind: Literal["file", "url", "text"]
    location: str
    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be loaded, as it can be written down.

    Attributes:
        paths: files and folders.
        urls: pages and files of the web.
        text: a text.
        name: what people call it; of several contents each has its own name.
        description: what its author says of it.
        metadata: what its chunks can be filtered by.
        include: of folders only the files whose names fit one of these patterns.
        exclude: of folders none of those that fit one of these.
        upsert: whether a content that is there already may be loaded anew.
        skip_if_exists: whether it is left as it is.
    """

    paths: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    text: str | None = None
    name: str | None = None
    description: str | None = None
    metadata: Mapping[str, object] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    upsert: bool = True
    skip_if_exists: bool = False

    @classmethod
    def of(
        cls,
        *,
        path: str | Path | None = None,
        paths: Sequence[str | Path] | None = None,
        url: str | None = None,
        urls: Sequence[str] | None = None,
        text_content: str | None = None,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, object] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        upsert: bool = True,
        skip_if_exists: bool = False,
    ) -> "Request":
        """Return what was asked for; see :meth:`kern.knowledge.Knowledge.ainsert`.

        Raises:
            InvalidInputError: it is nothing, or has a form that cannot be used.
        """
        files = (*(() if path is None else (path,)), *_several("paths", paths))
        pages = (*(() if url is None else (url,)), *_several("urls", urls))
        patterns = _several("include", include), _several("exclude", exclude)
        texts = (("text_content", text_content), ("name", name), ("description", description))
        for keyword, value in texts:
            if value is not None:
                _check_text(keyword, value)
        for keyword, values in (("url", pages), ("include", patterns[0]), ("exclude", patterns[1])):
            for each in values:
                _check_text(keyword, each)
        if text_content is not None and not text_content.strip():
            raise InvalidInputError("text_content says nothing.")
        if not (files or pages or text_content):
            raise InvalidInputError(
                "There is nothing to load: give path=, paths=, url=, urls= or text_content=."
            )
        if metadata is not None and not _is_named(metadata):
            raise InvalidInputError(
                f"metadata must be a dict with text as keys, not {metadata!r:.80}."
            )
        encode(metadata, "metadata")
        return cls(
            tuple(_path(each) for each in files),
            pages,
            text_content,
            name,
            description,
            None if metadata is None else dict(metadata),
            *patterns,
            upsert,
            skip_if_exists,
        )

    def to_text(self) -> str:
        """Return it as JSON."""
        given = {each: getattr(self, each) for each in self.__slots__}
        return encode({name: value for name, value in given.items() if value}, "what is loaded")

    @classmethod
    def of_text(cls, text: str) -> "Request":
        """Return what :meth:`to_text` has written down.

        Raises:
            InvalidInputError: it is something else.
        """
        try:
            values = decode_object(text)
            several = ("paths", "urls", "include", "exclude")
            lists = {each: values.pop(each, ()) for each in several}
            text_content = values.pop("text", None)
            upsert = bool(values.pop("upsert", False))
            return cls.of(text_content=text_content, upsert=upsert, **lists, **values)  # type: ignore[arg-type] # which it checks
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"This is nothing to load: {error}") from None

    def sources(self) -> list[Source]:
        """Return where the contents come from, each once, in order.

        Raises:
            ContentError: a file is not there, or there is none that is to be loaded.
        """
        found: dict[str, Source] = {}
        for path in self.paths:
            for each in self._files(Path(path)):
                found.setdefault(each.location, each)
        for url in self.urls:
            found.setdefault(url, Source("url", url, _name_of(url)))
        if self.text is not None:
            digest = sha256(self.text.encode("utf-8", "replace")).hexdigest()[:16]
            location = f"text:{self.name or digest}"
            found[location] = Source("text", location, self.name or "text", self.text)
        if len(found) == 1 and self.name:
            return [each._replace(name=self.name) for each in found.values()]
        return [*found.values()]

    def _files(self, path: Path) -> Iterator[Source]:
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:  # Its name is too long, say.
            raise ContentError(f"{path.name:.80}: {error.strerror}") from None
        if not is_folder:
            if not is_there:
                raise ContentError(f"There is no file {path}.")
            yield Source("file", str(path), path.name)
            return
        count = 0
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if hidden or not file.is_file() or not _is_inside(file, path):
                continue
            if self.include and not _fits(name, self.include):
                continue
            if not _fits(name, self.exclude):
                count += 1
                yield Source("file", str(file), name)
        if not count:
            raise ContentError(f"There is no file to load in {path}.")


def _several(keyword: str, values: Sequence[Value] | None) -> tuple[Value, ...]:
    if isinstance(values, str | bytes):
        raise InvalidInputError(f"{keyword} must be a list, as in [{values!r:.80}].")
    return tuple(values or ())


def _check_text(keyword: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{keyword} must be a text, not {value!r:.80}.")


def _is_named(metadata: object) -> bool:
    if not isinstance(metadata, Mapping):
        return False
    return all(isinstance(each, str) for each in cast("Mapping[object, object]", metadata))


def _path(given: object) -> str:
    """Return a path as it is from everywhere; an empty one would be the working directory."""
    if not isinstance(given, str | Path) or not str(given):
        raise InvalidInputError(f"path must be a file or a folder, not {given!r:.80}.")
    try:
        return str(Path(given).expanduser().absolute())
    except RuntimeError as error:
        raise InvalidInputError(f"path {str(given)!r:.80}: {error}") from None


def clean(text: str) -> str:
    """Return a text without the characters that no database keeps."""
    return _STRINGS.sub("\N{REPLACEMENT CHARACTER}", text) if _STRINGS.search(text) else text


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, each) or fnmatch(Path(name).name, each) for each in patterns)


def _is_inside(file: Path, folder: Path) -> bool:
    """Say whether a file lies in a folder, wherever symbolic links lead."""
    return file.resolve().is_relative_to(folder.resolve())


def _name_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # To fetch it says what is wrong with it.
        return url
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or url
