"""The shape of the package: arrows point one way, nothing heavy is loaded early."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import ser_lib

ROOT = Path(ser_lib.__file__).parent
PROJECT = ROOT.parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


EACH = pytest.mark.parametrize("path", MODULES, ids=name_of)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    """Full names of all modules that a file imports, inside functions as well."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """Hold the arrows of a copy of the project against the contracts in its `pyproject.toml`."""
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'notebooks'}"}
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def copied(tmp_path) -> Path:
    """The code of the project, to be changed."""
    for name in ("ser_lib", "tools", "notebooks/support"):
        ignored = shutil.ignore_patterns("clips", "__pycache__", "theme")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("ser_lib/data/labels.py", "ser_lib.plots"),
        ("ser_lib/data/labels.py", "ser_lib.features.registry"),
        ("ser_lib/evaluation/metrics.py", "ser_lib.runs.store"),
        ("ser_lib/inference/predictor.py", "ser_lib.models"),
        ("ser_lib/inference/predictor.py", "keras"),
        ("ser_lib/evaluation/metrics.py", "librosa"),
        ("ser_lib/report/html.py", "support.comparison"),
        (None, None),
    ],
)
def test_an_arrow_that_points_the_wrong_way_is_noticed(copied, module, imported):
    if module:
        path = copied / module
        future = "from __future__ import annotations\n"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(future, f"{future}import {imported}\n", 1), encoding="utf-8")
    result = lint_imports(copied)
    assert (result.returncode == 0) is (module is None), result.stdout


def test_the_package_itself_imports_nothing_but_where_compiled_functions_are_kept():
    assert imports_of(ROOT / "__init__.py") == {
        "contextlib",
        "contextlib.suppress",
        "lazy_loader",
        "os",
        "ser_lib.errors",
        "ser_lib.errors.OutputError",
        "ser_lib.paths",
        "ser_lib.paths.cache_dir",
        "tempfile",
    }


FRONTS = sorted({f"ser_lib.{name_of(path)}" for path in MODULES if path.name == "__init__.py"})


@pytest.mark.parametrize("name", [one.removesuffix(".") for one in FRONTS])
def test_a_front_has_a_docstring_and_offers_what_it_lists(name):
    front = importlib.import_module(name.removesuffix(".__init__"))
    assert len(front.__doc__) > 30
    for public in getattr(front, "__all__", ()):
        assert getattr(front, public) is not None
        assert public in dir(front)


def test_the_package_offers_about_25_names():
    assert 20 <= len(ser_lib.__all__) <= 30
    with pytest.raises(AttributeError):
        ser_lib.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("soundfile", {"audio.io", "audio.corruptions"}),
        ("av", {"audio.pyav"}),
        ("soxr", {"audio.signal"}),
        # One kernel, where TensorFlow is Keras's backend; others train with Keras's own layer.
        ("tensorflow", {"models.layers"}),
        ("torch", set()),
        ("jax", set()),
        ("pickle", set()),
        ("papermill", {"report.build", "report.execution"}),
        ("click", {"cli.main"}),
    ],
)
def test_a_library_is_imported_by_its_owner_only(library, owners):
    users = {
        name_of(path)
        for path in MODULES
        if any(one.split(".")[0] == library for one in imports_of(path))
    }
    assert users <= owners


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if name_of(path).startswith(("models", "training"))],
    ids=name_of,
)
def test_models_and_training_are_pure_keras(path):
    names = {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
    assert not names & {"tf", "tensorflow", "torch", "jax"}


@EACH
def test_nobody_draws_from_a_global_generator(path):
    if path.stem == "seeds":
        return
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"np\.random\.(?!default_rng|Generator)\w+", text)
    assert used == []
    assert "random" not in imports_of(path)


@EACH
def test_a_module_has_a_docstring(path):
    assert len(ast.get_docstring(tree_of(path)) or "") > 30


def _public_functions(path: Path) -> list[ast.FunctionDef]:
    return [
        node
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


@EACH
def test_public_functions_have_types_and_no_hidden_options(path):
    for function in _public_functions(path):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        assert function.returns is not None, function.name
        assert all(one.annotation for one in named), function.name
        # A command's options stand in its decorators.
        is_command = any("command" in ast.unparse(one) for one in function.decorator_list)
        assert arguments.kwarg is None or is_command, f"{function.name} takes **options"
        defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
        assert not any(isinstance(one, ast.List | ast.Dict | ast.Set) for one in defaults)


@EACH
def test_public_functions_have_a_docstring(path):
    assert [one.name for one in _public_functions(path) if not ast.get_docstring(one)] == []


@EACH
def test_no_path_and_no_person_stands_in_the_code(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|work|Users|tmp)/\w+", text) == []


# --- what importing costs


def _fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_importing_the_package_loads_nothing_but_what_it_is_made_of():
    """How long that takes, `make bench` says."""
    code = "import sys; before = {*sys.modules}; import ser_lib; print(*{*sys.modules} - before)"
    loaded = {one.partition(".")[0] for one in _fresh(code).split()}
    assert loaded - sys.stdlib_module_names <= {"ser_lib", "lazy_loader"}


def test_modules_that_were_moved_are_where_the_changelog_says():
    text = (PROJECT / "CHANGELOG.md").read_text()
    moved = re.findall(r"^\| (?:`[\w/]+\.py`,? ?)+ \| (.+) \|$", text, re.MULTILINE)
    named = {one for row in moved for one in re.findall(r"`([\w/]+\.py)`", row)}
    assert len(named) > 50
    outside = ("notebooks/", "tools/")
    assert [
        one
        for one in named
        if not (PROJECT if one.startswith(outside) else ROOT).joinpath(one).is_file()
    ] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("runs", {"tensorflow", "keras", "librosa", "matplotlib"}),
        ("studies", {"tensorflow", "keras", "librosa", "matplotlib"}),
        ("data", {"tensorflow", "keras", "librosa", "matplotlib", "sklearn"}),
        ("inference.predictor", {"av", "tensorflow", "keras", "matplotlib"}),
        ("evaluation.metrics", {"tensorflow", "keras", "librosa", "matplotlib", "soundfile"}),
        ("cli.main", {"tensorflow", "keras", "librosa", "matplotlib", "pandas"}),
    ],
)
def test_importing_a_module_does_not_load_what_it_may_not_need(module, heavy):
    loaded = _fresh(f"import sys, ser_lib.{module}; print(*sys.modules)").split()
    assert not heavy & set(loaded)
