"""The site builds without a warning, its links lead somewhere, it asks nothing of the network, and it names every name.

``DOCS_SITE`` may point at a site already built, as .ci/run's step has it.
"""

import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import bayesgmm

ROOT = Path(__file__).parents[2]
NEEDED = ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme", "sphinx_design")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED),
        reason="needs the dependency group docs: uv run --group docs pytest tests/docs",
    ),
]


class Page(HTMLParser):
    """What a page defines and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.images: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("script", "img", "iframe", "source") and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("href") and values.get("rel") != "canonical":
            self.loaded.append(values["href"])
        if tag == "img":
            self.images.append(values)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    folder = Path(os.environ.get("DOCS_SITE", ""))
    if not os.environ.get("DOCS_SITE"):
        folder = tmp_path_factory.mktemp("docs") / "site"
        build = "-m sphinx -W --keep-going -q -b html docs"
        command = [sys.executable, *build.split(), str(folder)]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in folder.rglob("*.html")}
    assert len(pages) > 40
    return pages


def test_internal_links_and_anchors_resolve(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            lost = target.fragment and file in site and unquote(target.fragment) not in site[file].ids
            if not file.exists() or lost:
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_nothing_is_asked_of_the_network(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert not [source for source in page.loaded if urlsplit(source).netloc], path.name


def test_pictures_of_the_pages_are_described(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        if path.parent.name != "notebooks":
            # Without a description sphinx takes the file's name.
            assert all((image.get("alt") or "_images/").find("_images/") < 0 for image in page.images), path.name
    gallery = next(page for path, page in site.items() if path.name == "gallery.html")
    plots = [name for name in bayesgmm.__all__ if name.startswith("plot_")]
    assert len(gallery.images) > len(plots)


@pytest.mark.parametrize("name", [name for name in bayesgmm.__all__ if name != "__version__"])
def test_every_public_name_has_an_entry(name: str, site: dict[Path, Page]) -> None:
    (page,) = [page for path, page in site.items() if path.name == f"bayesgmm.{name}.html"]
    assert f"bayesgmm.{name}" in page.ids
    (reference,) = [page for path, page in site.items() if path.name == "api.html"]
    assert any(f"bayesgmm.{name}.html" in link for link in reference.links)


def test_every_plot_is_in_the_gallery() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    for name in bayesgmm.__all__:
        if name.startswith("plot_"):
            assert f"bg.{name}(" in text
            assert f"{{py:func}}`~bayesgmm.{name}`" in text
