"""No two packages import each other: whoever reads one knows which others to read before it."""

import ast
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def packages(root):
    """Every package in a tree, and every module beside them, as the path of its names."""
    found = {path.parent.relative_to(root).parts for path in root.rglob("__init__.py")}
    return found | {path.with_suffix("").relative_to(root).parts for path in root.glob("*.py")}


def run_of(tree):
    """Every statement but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not for_types:
            yield node
            yield from run_of(node)


def imported(path, root):
    """What a module of the tree imports of it, as paths of names."""
    here = root.name
    for node in run_of(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == here or name.startswith(f"{here}."):
                yield tuple(name.split(".")[1:])


def package_of(names, known):
    """The innermost package that holds a name; the tree itself has the names of its own file."""
    return next(
        (names[:length] for length in range(len(names), 0, -1) if names[:length] in known),
        ("__init__",),
    )


def arrows(root):
    """Package → those that it imports; a package and one inside it are two."""
    known = packages(root) - {()}
    found = {}
    for path in sorted(root.rglob("*.py")):
        inner = path.with_suffix("").relative_to(root).parts
        home = package_of(inner[:-1] if inner[-1] == "__init__" and inner[1:] else inner, known)
        targets = {package_of(names, known) for names in imported(path, root)}
        found.setdefault(home, set()).update(targets - {home})
    return found


@pytest.mark.parametrize("name", ["chaosaws_kms_ext", "chaosaws_kms_lab"])
def test_no_two_packages_import_each_other(name):
    found = arrows(ROOT / name)
    assert len(found) > 3
    both = [
        " and ".join(".".join(each) for each in pair)
        for pair in combinations(sorted(found), 2)
        if pair[1] in found[pair[0]] and pair[0] in found[pair[1]]
    ]
    assert both == []


def test_who_imports_each_other_is_named(tmp_path):
    for package, line in {
        "a": "from t.b import x",
        "b": "import t.a.z",
        "c": "from t import a",
    }.items():
        (tmp_path / "t" / package).mkdir(parents=True)
        (tmp_path / "t" / package / "__init__.py").write_text(line)
    (tmp_path / "t" / "__init__.py").touch()
    assert arrows(tmp_path / "t") == {
        ("a",): {("b",)},
        ("b",): {("a",)},
        ("c",): {("a",)},
        ("__init__",): set(),
    }
