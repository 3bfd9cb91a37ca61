"""Browsers in which nobody is known before signing in, and what they send when they are abused."""

from collections.abc import Mapping
from typing import Any

import httpx
from pages import Page

PAGES = ("", "/runs", "/approvals", "/sessions", "/schedules", "/workers")
"""The pages that there are always, below ``/ui``."""


class Stranger:
    """A browser in which nobody is known before signing in; it keeps cookies.

    Attributes:
        http: what sends its requests.
        url: where the service is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=30)

    def open(self, path: str, **headers: str) -> httpx.Response:
        """Open a page, wherever it leads."""
        return self.http.get(path, follow_redirects=True, headers=headers)

    def see(self, path: str) -> str:
        """Return a page."""
        response = self.open(path)
        assert response.status_code == 200, response.text
        return response.text

    def send(self, page: str, action: str, fields: Mapping[str, Any] = {}) -> httpx.Response:
        """Send a form of a page as a browser does, and return the page to which that leads.

        Args:
            page: the page's HTML.
            action: how the form's path ends.
            fields: what is written into it.
        """
        forms = Page(httpx.Response(200, text=page)).forms
        form = next(each for each in forms if each.action.endswith(action))
        return self.post(form.action, {**form.fields, **fields}, follow_redirects=True)

    def post(self, path: str, fields: Mapping[str, Any], **options: Any) -> httpx.Response:
        """Send fields, as from a page of the service."""
        headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        headers |= options.pop("headers", {})
        return self.http.post(path, data=dict(fields), headers=headers, **options)

    def sign_in(self, token: str) -> httpx.Response:
        """Sign in with a key or token."""
        return self.send(self.open("/ui/sign-in").text, "/ui/sign-in", {"token": token})

    def close(self) -> None:
        """Close its connections."""
        self.http.close()
