"""What tests of the page are made of: small runs, a corpus of hostile names, a browser that writes down all it does."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np

from pipeline import engine
from pipeline.config import from_document
from pipeline.report import page
from pipeline.segmenters.fake import Fake
from pipeline.store import Store
from pipeline.yamls import Document

RUN = "window.pwned=(window.pwned||0)+1"
HOSTILE = [
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"</SCRIPT ><sCrIpT>{RUN}</sCrIpT>",
    f"<!--<script>{RUN}</script>",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</bdi></td></table><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'"><img src=x onerror="{RUN}">',
    f"'><img src=x onerror='{RUN}'>",
    f"<svg onload={RUN}>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<math><mtext></mtext><script>{RUN}</script></math>",
    f"<iframe srcdoc='<script>parent.{RUN[7:]}</script>'></iframe>",
    "<iframe src=https://example.com/></iframe>",
    "<link rel=stylesheet href=https://example.com/x.css>",
    "<meta http-equiv=refresh content='0;url=https://example.com/'>",
    "<base href=https://example.com/>",
    "<object data=https://example.com/></object>",
    "<style>*{display:none}</style>",
    "<style>@import 'https://example.com/x.css'</style>",
    f"<details open ontoggle={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<a href=javascript:{RUN}>click</a>",
    f"javascript:{RUN}",
    "https://example.com/x.png",
    "//example.com/x.png",
    f"data:text/html,<script>{RUN}</script>",
    "{{ 7 * 7 }}",
    "{% for x in cycler.__init__.__globals__ %}{% endfor %}",
    "{{ config }}{# comment #}",
    "${7*7} `id` $(id) #{7*7}",
    "&lt;script&gt; &amp; &#60;b&#62;",
    "\" ' ` \\ / \\\" \\'",
    "line one\nline two\r\nline three",
    "tab\tbell\x07escape\x1b[31mred",
    "\u2028line\u2029paragraph",
    "\u202egpj.exe",
    "\u2066\u2067\u200f\u05e9\u05dc\u05d5\u05dd\u2069",
    "مرحبا بالعالم",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "x" * 240,
    "W i d e " * 28,
    "__proto__",
    "constructor",
    "../../../etc/passwd",
]


class Graded(Fake):
    """A segmenter that is sure of what is called cat, and of nothing else; a config names it `pages:Graded`."""

    def open(self, device):
        return _Graded(super().open(device))


class _Graded:
    def __init__(self, inner):
        self.inner = inner

    def segment(self, pictures, found):
        return [self._graded(rows) for rows in self.inner.segment(pictures, found)]

    def mend(self, pictures, found):
        return [self._graded(rows) for rows in self.inner.mend(pictures, found)]

    def _graded(self, rows):
        sure = [0.9 if name == "cat" else 0.4 for name in rows.names]
        return replace(rows, quality=np.array([[value, 0.95, np.nan] for value in sure]).reshape(-1, 3))


def picture(number, size_hw=(48, 64)):
    """The bytes of a small picture; each number has another."""
    dice = np.random.default_rng(number)
    rgb = np.repeat(np.repeat(dice.integers(0, 255, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    return cv2.imencode(".png", cv2.resize(rgb, size_hw[::-1]))[1].tobytes()


def made_run(place, classes=("dog", "cat"), names=("a.png", "b.png", "c.png"), **sections):
    """A run over small pictures: the folder it is in. One object of each class in each picture."""
    for number, name in enumerate(names):
        file = place / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
    document = {
        "source": {"path": str(place / "photos")},
        "ontology": dict.fromkeys(classes),
        "detect": {"backend": "fake"},
        "segment": {"backend": "pages:Graded"},
        "select": {"threshold": 0.6},
        "run": {"device": "cpu"},
    }
    config = from_document(Document("test", document | sections))
    engine.run(config, place / "run")
    return place / "run"


def made_page(run, **options):
    """Its page, made: the file, and what `write` says of it."""
    from pipeline.config import load
    from pipeline.outcome import read_summary

    with Store(run / "run.db") as store:
        written = page.write(run, store, load(run / "config.yaml"), read_summary(run), **options)
    return run / page.NAME, written


def browser_there():
    """The browser that tests drive; '' where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


class Watched:
    """A page in a browser: `trouble` is everything that it said, asked for or ran and should not have."""

    def __init__(self, tab, file):
        self.tab, self.trouble = tab, []
        folder = file.parent.absolute().as_uri()
        tab.on("console", lambda said: self.trouble.append(f"console: {said.text}"))
        tab.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (self.trouble.append("dialog"), dialog.dismiss()))
        tab.on("popup", lambda _: self.trouble.append("popup"))
        tab.on("requestfailed", self._failed)
        tab.on("request", lambda request: self._asked(request.url, folder))
        tab.goto(file.absolute().as_uri())

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # the page was left before
            self.trouble.append(f"failed: {request.url}: {request.failure}")

    def _asked(self, url, folder):
        if not url.startswith((folder, "data:", "blob:")):
            self.trouble.append(f"asked for {url}")

    def found(self):
        """The trouble so far, with what a script that was not ours would have left."""
        pwned = self.tab.evaluate("window.pwned || 0")
        scripts = self.tab.evaluate("document.scripts.length")
        strange = self.tab.evaluate("document.querySelectorAll('iframe, object, embed, base, svg[onload]').length")
        return [
            *self.trouble,
            *([f"{pwned} scripts ran"] if pwned else []),
            *([f"{scripts} scripts, not 2"] if scripts != 2 else []),
            *([f"{strange} elements that nobody made"] if strange else []),
        ]

    def cards(self):
        """The words of each card that is shown."""
        return self.tab.locator("#gallery .card").all_inner_texts()

    def go(self, gallery):
        self.tab.click(f"#tabs button[data-name={gallery}]")

    def until(self, script):
        """Wait until a script says true. The page's policy does not let the browser's driver wait."""
        for _ in range(100):
            if self.tab.evaluate(script):
                return
            time.sleep(0.05)
        raise AssertionError(f"not true after 5 seconds: {script}")

    def press(self, *keys):
        for key in keys:
            self.tab.keyboard.press(key)


@contextmanager
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_there(), args=["--no-sandbox"])
        yield chromium
        chromium.close()
