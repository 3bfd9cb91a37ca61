"""Pages as a browser without a script has them: what they say, and the forms that they have."""

import json
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
from typing_extensions import override


@dataclass
class Form:
    """A form of a page.

    Attributes:
        action: where it is sent.
        fields: the values that it holds as the page is shown, by the names of the fields.
        buttons: what each button adds, by the words on it.
    """

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, dict[str, str]] = field(default_factory=dict)


class Page(HTMLParser):
    """A page, read.

    Attributes:
        status: the HTTP status with which it came.
        html: its HTML.
        text: what it says, with each white space as one blank.
        links: where its links lead, by their words.
        forms: its forms that change something.
        tags: how many elements of each kind it has.
        ids: the ids of its elements.
        csrf: what its forms hold so that they are taken.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status = response.status_code
        self.html = response.text
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.csrf = ""
        self._texts: list[str] = []
        self._open: list[tuple[str, dict[str, str], int]] = []
        self._posts = False
        self.feed(self.html)
        self.text = _words("".join(self._texts))

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.ids += [given["id"]] if "id" in given else []
        if tag == "body":
            self.csrf = json.loads(given.get("hx-headers:inherited", "{}")).get("X-CSRF", "")
        if tag == "form" and (is_post := given.get("method") == "post"):
            self._posts = is_post
            self.forms.append(Form(given["action"]))
        elif tag == "input" and self._posts and given.get("type") not in ("checkbox", "radio"):
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        if tag in ("a", "button", "textarea"):
            self._open.append((tag, given, len(self._texts)))

    @override
    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._posts = False
        if not self._open or self._open[-1][0] != tag:
            return
        _, given, at = self._open.pop()
        said = "".join(self._texts[at:])
        if tag == "a":
            self.links[_words(said)] = given.get("href", "")
        elif tag == "button" and self._posts:
            added = {given["name"]: given.get("value", "")} if "name" in given else {}
            self.forms[-1].buttons[_words(said)] = added
        elif tag == "textarea" and self._posts:
            self.forms[-1].fields[given["name"]] = said.removeprefix("\n")


class Browser:
    """A browser without a script, in which somebody is known."""

    def __init__(self, client: httpx.Client) -> None:
        """Look through a client, which keeps cookies, and says who asks."""
        self.client = client

    def open(self, path: str, status: int = 200) -> Page:
        """Return a page, which comes with this status."""
        page = Page(self.client.get(path, follow_redirects=True))
        assert page.status == status, page.text
        return page

    def press(self, page: Page, button: str, **fields: str | list[str]) -> Page:
        """Send the first form of a page that has a button, and return the page that follows.

        Args:
            page: the page.
            button: the words on the button.
            **fields: what is filled in.
        """
        form = next(each for each in page.forms if button in each.buttons)
        given = {**form.fields, **form.buttons[button], **fields}
        response = self.client.post(form.action, data=given)
        assert response.status_code == 303, response.text
        return self.open(response.headers["location"])


def _words(text: str) -> str:
    return " ".join(text.split())
