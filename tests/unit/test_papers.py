"""The papers agree with the code, and with each other."""

import ast
import re
import tokenize
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import chalicelib

ROOT: Final = Path(__file__).parents[2]
PAPERS: Final = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob(".github/*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("tests/*.md")),
]
DECISIONS: Final = sorted(ROOT.glob("docs/decisions/*.md"))
FOLDERS: Final = ["bench", "chalicelib", "deploy", "docs", "local", "terraform", "tests"]
# terraform/ has no Python of its own, only what builds put there.
SOURCES: Final = [
    *sorted(ROOT.glob("*.py")),
    *(path for folder in FOLDERS if folder != "terraform" for path in sorted(ROOT.glob(f"{folder}/**/*.py"))),
]
# Not in the repository: builds and users make them.
MADE: Final = {
    "terraform/backend.tf",
    "terraform/chalice/chalice.tf.json",
    "terraform/chalice/deployment.zip",
}

_FENCE: Final = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_MODULE: Final = re.compile(r"\bchalicelib(?:(?:/[a-z0-9_]+)+\.py|(?:\.[a-z0-9_]+)+)\b")
_MAKE: Final = re.compile(r"\bmake((?: +(?:[A-Z_]+=\S+|-C +\S+))*) +([a-z][a-z0-9-]*)\b")


def _name(paper: Path) -> str:
    return str(paper.relative_to(ROOT))


@cache
def _prose(paper: Path) -> str:
    """The paper without its blocks of code."""
    return _FENCE.sub("", paper.read_text())


@cache
def _anchors(paper: Path) -> frozenset[str]:
    """The anchors that GitHub gives the headings of `paper`: `## The OMS's side` is `the-omss-side`."""
    slugs: list[str] = []
    for heading in re.findall(r"^#+ +(.+?) *$", _prose(paper), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w -]", "", text).replace(" ", "-")
        repeats = sum(1 for other in slugs if other == slug)
        slugs.append(slug)
        if repeats:
            slugs.append(f"{slug}-{repeats}")
    return frozenset(slugs)


def _remarks(source: Path) -> str:
    """The comments and docstrings of a Python file, those of variables included."""
    with source.open("rb") as file:
        comments = [
            token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT
        ]
    docstrings = [
        node.value.value
        for node in ast.walk(ast.parse(source.read_bytes()))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return "\n".join([*comments, *docstrings])


def _missing_modules(text: str) -> list[str]:
    """The modules that `text` names, with dots or as a path, and that do not exist."""

    def exists(name: str) -> bool:
        if name.endswith(".py"):
            return (ROOT / name).is_file()
        path = ROOT / name.replace(".", "/")
        return path.is_dir() or path.with_suffix(".py").is_file()

    return sorted(name for name in set(_MODULE.findall(text)) if not exists(name))


def _broken(paper: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    target = (paper.parent / place).resolve() if place else paper
    return not target.exists() or (bool(anchor) and anchor not in _anchors(target))


@pytest.mark.parametrize("paper", PAPERS, ids=_name)
def test_links_resolve(paper: Path) -> None:
    links = [inline or reference for inline, reference in _LINK.findall(_CODE.sub("", _prose(paper)))]
    links = [link for link in links if not re.match(r"\w+:", link)]

    assert [link for link in links if _broken(paper, link)] == []


# An older version in the changelog may name files that are gone.
@pytest.mark.parametrize("paper", [paper for paper in PAPERS if paper.name != "CHANGELOG.md"], ids=_name)
def test_files_that_are_named_exist(paper: Path) -> None:
    named = {code for code in _CODE.findall(_prose(paper)) if code.split("/")[0] in FOLDERS and "/" in code}

    assert sorted(path for path in named - MADE if not list(ROOT.glob(path))) == []


@pytest.mark.parametrize("paper", PAPERS, ids=_name)
def test_modules_that_are_named_exist(paper: Path) -> None:
    assert _missing_modules(_prose(paper)) == []


def test_modules_that_python_files_name_exist() -> None:
    missing = {_name(source): _missing_modules(_remarks(source)) for source in SOURCES}

    assert {name: modules for name, modules in missing.items() if modules} == {}


@pytest.mark.parametrize("paper", PAPERS, ids=_name)
def test_targets_of_make_exist(paper: Path) -> None:
    text = paper.read_text()
    code = [*_CODE.findall(_prose(paper)), *(fence.group() for fence in _FENCE.finditer(text))]
    named = {target for part in code for _, target in _MAKE.findall(part)}
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert sorted(named - targets) == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(
        r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    front = re.search(r"^Version (\d\S*);", (ROOT / "README.md").read_text(), re.MULTILINE)
    api = re.search(r'"version":"([^"]+)"', (ROOT / "docs" / "api.md").read_text())

    assert newest
    assert front
    assert api
    assert {project["version"], newest[1], front[1], api[1]} == {chalicelib.__version__}


def test_each_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    documents = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]

    assert [name for name in documents if f"({name})" not in index] == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name)
def test_each_decision_has_a_date_and_a_status(decision: Path) -> None:
    number = int(decision.name[:4])
    date = r"\d{4}-\d\d-\d\d"
    head = rf"# {number}\. .+\n\n- \*\*Date:\*\* {date}(, amended {date})?\n- \*\*Status:\*\* "

    assert re.match(rf"{head}(accepted|proposed|superseded)", decision.read_text())
