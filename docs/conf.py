"""The docs site: `make site` builds it into build/site, with warnings as errors."""

import io
import json
import re
import shutil
from base64 import b64decode
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
project, author = "vaebench", "The vaebench authors"
version = release = version_of("vaebench")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
# Tutorials are written from the notebooks when the site is built.
NOTEBOOKS, TUTORIALS = ROOT / "examples" / "notebooks", ROOT / "docs" / "tutorials"
REPORTS = sorted((ROOT / "results" / "reference").glob("**/report.html"))
html_theme = "furo"
html_title = "vaebench"
html_theme_options = {"navigation_with_keys": True}
html_show_copyright = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
add_module_names = False
nitpicky = False


def source_read(_: Any, name: str, source: list[str]) -> None:
    """Fill in what is written from the code, and turn links that leave the site into the paths they name."""
    text = source[0]
    if name == "commands":
        text = text.replace("<!-- commands -->", commands())
    if name == "results":
        text = text.replace("<!-- reports -->", reports())
    source[0] = re.sub(r"!?\[([^\]]*)\]\((\.\./[^)\s]*)\)", lambda match: _local(name, match), text)


def _local(name: str, match: re.Match[str]) -> str:
    page = (ROOT / "docs" / name).parent
    target = (page / match[2].partition("#")[0]).resolve()
    if not target.exists():
        raise ValueError(f"{name}: {match[2]} is not there")
    if target.is_relative_to(ROOT / "docs"):
        return match[0]
    return f"{match[1].strip('`')} (`{target.relative_to(ROOT)}` in the repository)"


def commands() -> str:
    """What `--help` says of every command."""
    from rich.console import Console

    from bench.cli import app

    def helped(*words: str) -> str:
        text = io.StringIO()
        console = Console(file=text, width=88, color_system=None, force_terminal=False)
        app.app.help_print(list(words), console=console)
        return f"```text\n{text.getvalue().strip()}\n```"

    names = sorted(name for name in app.app if not name.startswith("-"))
    data = sorted(name for name in app.data_app if not name.startswith("-"))
    lines = [("vaebench",), *((name,) for name in names), *(("data", name) for name in data)]
    parts = [f"## `{' '.join(('vaebench', *line)) if line != ('vaebench',) else 'vaebench'}`" for line in lines]
    texts = [helped(*(() if line == ("vaebench",) else line)) for line in lines]
    return "\n\n".join(f"{head}\n\n{text}" for head, text in zip(parts, texts, strict=True))


def reports() -> str:
    """Links to the reports of the committed runs, which are copied beside the pages."""
    lines = [
        f'<li><a href="reports/{_report(path)}">{_report(path).removesuffix(".html")}</a></li>' for path in REPORTS
    ]
    return "\n".join(["<ul>", *lines, "</ul>"]) if lines else "The repository holds no report yet."


def _report(path: Path) -> str:
    return f"{'-'.join(path.parent.relative_to(ROOT / 'results' / 'reference').parts)}.html"


def copy_reports(app: Any, error: Exception | None) -> None:
    """The reports as they are."""
    if error is None:
        for path in REPORTS:
            target = Path(app.outdir) / "reports" / _report(path)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)


def tutorials(_: Any) -> None:
    """A page for each notebook, with its outputs as they were committed."""
    shutil.rmtree(TUTORIALS, ignore_errors=True)
    TUTORIALS.mkdir()
    names = sorted(NOTEBOOKS.glob("*.ipynb")) if NOTEBOOKS.is_dir() else []
    for path in names:
        (TUTORIALS / f"{path.stem}.md").write_text(notebook(path), encoding="utf-8")
    toc = "\n".join(path.stem for path in names)
    listed = f"```{{toctree}}\n{toc}\n```" if names else "There are no notebooks yet."
    text = f"# Tutorials\n\nThe notebooks of `examples/notebooks`, as they ran.\n\n{listed}\n"
    (TUTORIALS / "index.md").write_text(text, encoding="utf-8")


def notebook(path: Path) -> str:
    """A notebook as Markdown; its pictures become files beside it."""
    parts = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for place, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{number}-{place}.png"
                (TUTORIALS / name).write_bytes(b64decode("".join(data["image/png"])))
                parts.append(f"![Output of the cell above]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", []))):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def skip_member(_: Any, _kind: str, name: str, _object: Any, skip: bool, _options: Any) -> bool:
    """What scikit-learn adds to every estimator is said in its own documents."""
    return skip or bool(re.fullmatch(r"set_\w+_request|get_metadata_routing", name))


def setup(app: Any) -> None:
    """Hooks."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("builder-inited", tutorials)
    app.connect("source-read", source_read)
    app.connect("build-finished", copy_reports)
