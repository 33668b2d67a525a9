"""Writes docs/reference/settings.md from the settings' own definitions; --check only compares."""

import ast
import inspect
import sys
import textwrap
from typing import Any, Final

import msgspec

from generated_files import ROOT, write_or_check
from realtime_devnet.settings import DevnetSettings
from realtime_hub.config import HubSettings

PAGE: Final = ROOT / "docs/reference/settings.md"
HEAD: Final = """# Settings

Made by `scripts/generate_settings.py`. A setting is a key of the table `[hub]` or `[devnet]` in
`realtime.toml` (or the file that `--config` names), or a variable, which wins:
`REALTIME_HUB_PORT=9000`. Unknown keys and variables, and values out of bounds, are refused by name.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "".join(
        table(name, settings)
        for name, settings in (("hub", HubSettings), ("devnet", DevnetSettings))
    )


def table(name: str, settings: Any) -> str:
    """Return one table of the page."""
    texts = field_texts(settings)
    lines = [f"\n## [{name}]\n", "| key | variable | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(settings):
        variable = f"REALTIME_{name}_{field.name}".upper()
        default = shown(field)
        lines.append(f"| `{field.name}` | `{variable}` | {default} | {texts.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def shown(field: Any) -> str:
    """Return a default as it is written in TOML."""
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return "`" + str(value).replace("'", '"') + "`"
    return f"`{value}`" if value != {} else "`{}`"


def field_texts(settings: Any) -> dict[str, str]:
    """Return the sentence below each field in the source."""
    source = ast.parse(textwrap.dedent(inspect.getsource(settings)))
    [definition] = [node for node in source.body if isinstance(node, ast.ClassDef)]
    texts = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = " ".join(text.split())
            case _:
                pass
    return texts


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, {PAGE: page}))
