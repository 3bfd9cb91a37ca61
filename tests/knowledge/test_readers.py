"""Files of each kind, as texts."""

import json
import zipfile
from io import BytesIO
from pathlib import Path, PurePath

import pytest

from kern.errors import ContentError
from kern.knowledge.readers import (
    CSVReader,
    DocxReader,
    HTMLReader,
    JSONReader,
    Part,
    PDFReader,
    Reader,
    TextReader,
    reader_for,
)

DOCX = {
    "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/'
    'package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.'
    'openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"'
    "/></Types>",
    "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/'
    'package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
    "</Relationships>",
    "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.'
    'openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"'
    "/></w:pPr><w:r><w:t>Ferns</w:t></w:r></w:p><w:p><w:r><w:t>They like shade.</w:t></w:r></w:p>"
    "</w:body></w:document>",
}


def docx(parts: dict[str, str]) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def pdf(*pages: str) -> bytes:
    """Return the bytes of a PDF file with a line on each page."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * each} 0 R" for each in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for each, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {5 + 2 * each} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n"
        f"<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    ).encode("latin-1")


def read(reader: Reader, path: Path, data: bytes | str) -> list[Part]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return [*reader.read(path)]


def test_pages_of_a_pdf_know_their_number(tmp_path: Path) -> None:
    found = read(PDFReader(), tmp_path / "a.pdf", pdf("Ferns like shade.", "Moss likes rain."))
    assert found == [
        Part("Ferns like shade.", {"page": 1}),
        Part("Moss likes rain.", {"page": 2}),
    ]


def test_a_word_document_becomes_markdown(tmp_path: Path) -> None:
    (part,) = read(DocxReader(), tmp_path / "a.docx", docx(DOCX))
    assert part.text == "# Ferns\n\nThey like shade."


def test_what_is_packed_beyond_measure_is_not_unpacked(tmp_path: Path) -> None:
    for name in ("word/bomb.xml", "word/media/bomb.png"):
        bomb = docx({**DOCX, name: "<" + "0" * 20_000_001})
        assert len(bomb) < 100_000
        with pytest.raises(ContentError, match="text, unpacked, and 20,000,000 are read"):
            read(DocxReader(), tmp_path / "a.docx", bomb)
    pictures = docx({**DOCX, "word/media/large.png": "\x89PNG" + "0" * 20_000_001})
    assert read(DocxReader(), tmp_path / "a.docx", pictures)[0].text.startswith("# Ferns")


@pytest.mark.parametrize("tag", ["<b>", "<br>", "<!--", "<a ", "<![CDATA["])
def test_a_page_of_tags_beyond_measure_is_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(ContentError, match="200,001 tags, and 200,000 are read"):
        read(HTMLReader(), tmp_path / "a.html", tag * 200_001)


def test_what_is_embedded_in_a_page_does_not_count(tmp_path: Path) -> None:
    picture = f'<img src="data:image/png;base64,{"A" * 10_000_000}">'
    (part,) = read(HTMLReader(), tmp_path / "a.html", f"<p>Ferns, data:like,shade.</p>{picture}")
    assert part.text == "Ferns, data:like,shade."
    with pytest.raises(ContentError, match="bytes, and 10,000,000 are read"):
        read(HTMLReader(), tmp_path / "a.html", "<p>" + "a" * 10_000_000)


def test_rows_of_tables_keep_the_names_of_their_columns(tmp_path: Path) -> None:
    (part,) = read(
        CSVReader(), tmp_path / "a.csv", '\ufeffplant,light\nFern,little\n"Oak, old",much,more\n,\n'
    )
    assert part.text.strip() == "plant: Fern\nlight: little\n\nplant: Oak, old\nlight: much\nmore"
    (part,) = read(CSVReader(), tmp_path / "a.tsv", "plant\tlight\nFern\tlittle\n")
    assert part.text == "plant: Fern\nlight: little"
    (part,) = read(CSVReader(), tmp_path / "c.csv", "a,a\n1,2\n3\n")
    assert part.text == "a: 1\na: 2\n\na: 3"
    with pytest.raises(ContentError, match=r"at byte 5.*CSVReader\(encoding='cp1252'\)"):
        read(CSVReader(), tmp_path / "d.csv", "a,b\nFähre,1\n".encode("cp1252"))
    with pytest.raises(ContentError, match="no table: field larger"):
        read(CSVReader(), tmp_path / "e.csv", "a\n" + "x" * 200_000)
    rows = "n\n" + "\n".join(map(str, range(450)))
    parts = read(CSVReader(";"), tmp_path / "b.csv", rows)
    assert [each.meta_data for each in parts] == [
        *({"from_row": 1}, {"from_row": 201}, {"from_row": 401}),
    ]


def test_items_of_json_are_texts(tmp_path: Path) -> None:
    (part,) = read(
        JSONReader(), tmp_path / "a.json", '[{"plant": "Fern", "light": null}, "Moss", [1]]'
    )
    assert part.text == "plant: Fern\n\nMoss\n\n[\n 1\n]"
    (part,) = read(JSONReader(), tmp_path / "a.jsonl", '{"a": "é"}\n\n{"b": {"c": 2}}\n')
    assert part.text == 'a: é\n\n{\n "b": {\n  "c": 2\n }\n}'
    for name in ("page", "lines.json"):  # As a server, or a file, has it that says JSON only.
        (part,) = read(JSONReader(), tmp_path / name, '{"a": "\u2028"}\n{"a": 2}\n')
        assert part.text == "a: \u2028\n\na: 2"
        (part,) = read(JSONReader(), tmp_path / name, '[\n{"a": 1},\n{"a": 2}\n]\n')
        assert part.text == "a: 1\n\na: 2"
    with pytest.raises(ContentError, match="it is no JSON"):
        read(JSONReader(), tmp_path / "a.json", "{")
    with pytest.raises(ContentError, match=r"nested too deep|no JSON"):
        read(JSONReader(), tmp_path / "a.json", "[" * 100_000)


def test_pages_nested_beyond_measure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="nested too deep"):
        read(HTMLReader(), tmp_path / "a.html", "<div>" * 20_000 + "x")


def test_texts_have_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert read(TextReader(), path, "Fähre".encode("utf-8-sig"))[0].text == "Fähre"
    assert read(TextReader(), path, "Fähre".encode("utf-16"))[0].text == "Fähre"
    assert read(TextReader("cp1252"), path, "Fähre".encode("cp1252"))[0].text == "Fähre"
    with pytest.raises(ContentError, match=r"TextReader\('cp1252'\)"):
        read(TextReader(), path, "Fähre".encode("cp1252"))


def test_a_large_text_is_read_in_pieces_that_end_with_a_line(tmp_path: Path) -> None:
    text = "0123456789\n" * 150_000
    parts = read(TextReader(), tmp_path / "a.log", text)
    assert len(parts) == 2
    assert all(each.text.endswith("\n") for each in parts)
    assert "".join(each.text for each in parts) == text


class Subtitles(Reader):
    suffixes = (".srt", ".md")

    def read(self, path: Path) -> "list[Part]":  # type: ignore[override] # as somebody might
        return [Part(json.dumps(path.read_text()))]


@pytest.mark.parametrize(
    ("name", "media_type", "kind"),
    [
        ("a.PDF", None, PDFReader),
        ("a.htm", "application/octet-stream", HTMLReader),
        ("a.srt", None, Subtitles),
        ("a.md", None, Subtitles),
        ("page", "text/html", HTMLReader),
        ("a.csv", "text/plain", CSVReader),
        ("a.txt", "application/json", JSONReader),
        ("a.py", None, TextReader),
        ("Makefile", None, TextReader),
    ],
)
def test_each_file_has_its_reader(name: str, media_type: str | None, kind: type[Reader]) -> None:
    assert type(reader_for(PurePath(name), media_type, [Subtitles()])) is kind


def test_a_text_reader_of_the_users_reads_what_nobody_else_knows() -> None:
    own = TextReader("cp1252")
    assert reader_for(PurePath("a.txt"), None, [own]) is own
    assert reader_for(PurePath("a.log"), "text/plain", [own]) is own
    assert reader_for(PurePath("a.xyz"), None, [own]) is own
