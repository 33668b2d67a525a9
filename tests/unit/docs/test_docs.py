"""Documents tell the truth: links lead somewhere, code is the code of the examples."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from realtime_hub.config import HubSettings, check_settings

ROOT = Path(__file__).parents[3]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("deploy/**/*.md")),
    ROOT / "clients/js/README.md",
]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readmes_example_is_the_example_that_runs() -> None:
    [shown] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown in (ROOT / "examples/pay.py").read_text()


@pytest.mark.parametrize(
    ("page", "example"),
    [
        ("guard-your-api.md", "guards/asgi/app.py"),
        ("service-session.md", "trust_feed.py"),
    ],
)
def test_code_in_a_howto_is_code_of_the_example_that_runs(page: str, example: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto" / page).read_text(), re.DOTALL)
    lines = [line.strip() for line in (ROOT / "examples" / example).read_text().splitlines()]
    assert blocks
    for block in blocks:
        shown = [line.strip() for line in block.splitlines()]
        assert any(lines[at : at + len(shown)] == shown for at in range(len(lines)))


def test_the_apps_in_the_howto_are_settings_that_a_hub_takes() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/howto/apps.md").read_text(), re.DOTALL)
    settings = msgspec.convert(tomllib.loads(text)["hub"], HubSettings)
    check_settings(settings)
    assert [app.name for app in settings.apps] == ["shop", "games"]


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named - targets == set()


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert set(phony.split()) - described == set()
