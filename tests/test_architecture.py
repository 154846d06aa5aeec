"""The shape of the package: arrows point left, nothing heavy is loaded early, files stay short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import ser_lib

ROOT = Path(ser_lib.__file__).parent
# A module imports from lower levels only. Packages count as one.
LEVELS = (
    ("errors", "locks", "paths", "seeds", "progress", "mimes", "threads"),
    ("labels", "decoding", "audio", "codecs", "mel", "voice", "answers", "functionals", "rows"),
    (
        "corpora",
        "augment",
        "encoders",
        "features",
        "normalisation",
        "fingerprints",
        "audit_tables",
        "descriptors",
        "opensmile_functionals",
        "corruptions",
        "spoiling",
        "recordings",
        "confidence",
        "domain",
    ),
    (
        "protocols",
        "splits",
        "audit",
        "models",
        "extraction",
        "resampling",
        "textures",
        "clip_checks",
        "bundle_checks",
        "training_settings",
    ),
    (
        "epochs",
        "training",
        "metrics",
        "shares",
        "copies",
        "maps",
        "bundles",
        "installed",
    ),
    ("predict", "cards", "dataset_audit", "fingerprint_trial", "fold_inputs", "auxiliary"),
    (
        "studies",
        "store",
        "wording",
        "significance",
        "variance",
        "calibration",
        "selective",
        "fairness",
        "anchors",
        "mistakes",
        "audit_report",
    ),
    ("ladder",),
    (
        "runs",
        "plots",
        "results",
        "listeners",
        "ensembles",
        "trial_log",
        "readme",
        "heard",
        "search",
        "tuning",
        "dealing",
        "trials",
    ),
    ("batch", "timeline", "final_network", "judging"),
    ("final_head", "live", "elsewhere"),
    ("app_views", "bundling", "long_recordings"),
    ("commands", "app"),
    (
        "notebook",
        "tables",
        "chapters",
        "execution",
        "render",
        "report",
        "closeup",
        "explore",
        "costs",
        "comparison",
        "appraisal",
        "robustness",
        "importance",
        "explain",
        "ladder_tables",
        "transfer",
    ),
    ("__main__", "bench"),
)
# Arrows within a level, each with its reason.
WITHIN = {
    ("codecs", "audio"),  # what was decoded is cropped as all is
    ("audio", "decoding"),  # what is mixed and cut was decoded first
    ("answers", "voice"),  # an answer says what was heard
    ("features", "encoders"),  # a pretrained encoder is one of the features
    ("features", "descriptors"),  # a registered feature
    ("features", "opensmile_functionals"),  # another one
    ("importance", "robustness"),  # both test versions of the same clips
    ("maps", "epochs"),  # a map is made of predictions
    ("training", "epochs"),  # a fold is fitted in epochs
    ("splits", "protocols"),  # a split is made by a rule
    ("audit", "splits"),  # an audit looks at folds
    ("notebook", "tables"),  # notebooks find what they need in one place
    ("selective", "calibration"),  # what is answered is decided by confidence
    ("mistakes", "calibration"),  # so is which mistake is the surest
    ("results", "runs"),  # results are runs, gathered
    ("tuning", "runs"),  # a trial has the folds and the key of a run
    ("tuning", "search"),  # a search is proposed, then tried
    ("appraisal", "comparison"),  # what is asked of systems is asked task by task
    ("appraisal", "costs"),  # accuracy is set against cost
    ("render", "chapters"),  # a report is made of chapters
    ("execution", "chapters"),  # an executed notebook becomes a chapter
    ("report", "chapters"),
    ("report", "execution"),  # a report is executed, then rendered
    ("report", "render"),
    ("trials", "dealing"),  # a trial is of folds that were dealt
    ("explore", "closeup"),  # an explorer shows a clip from close by
}
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
MODULES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)
# For nobody to read in one sitting; style.md aims at 250 lines.
MAX_LINES = 460


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


def room_of(module: str) -> str:
    return module.removeprefix("ser_lib.").split(".")[0]


def rooms_imported_by(path: Path) -> set[str]:
    inside = {one for one in imports_of(path) if one.startswith("ser_lib.")}
    return {room_of(one) for one in inside} & set(LEVEL_OF)


def problems_of(room: str, imported: set[str]) -> list[str]:
    """Say which arrows of one module point the wrong way."""
    return [
        f"{room} (level {LEVEL_OF[room]}) imports {other} (level {LEVEL_OF[other]})"
        for other in sorted(imported - {room})
        if LEVEL_OF[other] >= LEVEL_OF[room] and (room, other) not in WITHIN
    ]


def test_every_module_has_a_level():
    rooms = {room_of(name_of(path)) for path in MODULES} - {"", "__init__"}
    assert rooms <= set(LEVEL_OF), "give it a level in LEVELS, and in architecture.md"


@EACH
def test_imports_point_to_lower_levels(path):
    room = room_of(name_of(path))
    if room in LEVEL_OF:
        assert problems_of(room, rooms_imported_by(path)) == []


@pytest.mark.parametrize(
    ("room", "imported"), [("labels", "plots"), ("splits", "audit"), ("metrics", "runs")]
)
def test_an_arrow_that_points_the_wrong_way_is_noticed(room, imported):
    assert len(problems_of(room, {imported, room, "errors"})) == 1


@pytest.mark.parametrize("arrow", sorted(WITHIN))
def test_arrows_within_a_level_are_still_needed(arrow):
    room, other = arrow
    if (ROOT / f"{room}.py").is_file():
        used = rooms_imported_by(ROOT / f"{room}.py")
        assert other in used, f"remove {arrow} from WITHIN"


def test_the_package_itself_imports_nothing_but_where_compiled_functions_are_kept():
    assert imports_of(ROOT / "__init__.py") == {"os", "ser_lib.paths", "ser_lib.paths.cache_dir"}


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("soundfile", {"audio", "codecs", "decoding", "corpora.demo.make_clips"}),
        ("soxr", {"audio"}),
        ("tensorflow", set()),
        ("torch", set()),
        ("jax", set()),
        ("pickle", set()),
        ("papermill", {"report", "execution"}),
        ("typer", {"__main__"}),
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
    [path for path in MODULES if name_of(path).startswith("models") or path.stem == "training"],
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
def test_a_module_has_a_docstring_and_says_what_it_exports(path):
    tree = tree_of(path)
    assert len(ast.get_docstring(tree) or "") > 30
    if path.name.startswith("_") and path.name not in ("__init__.py", "__main__.py"):
        return
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assert len(exported) == 1, "no __all__"
    defined = {
        name
        for node in ast.walk(tree)
        for name in (
            [getattr(node, "name", None)]
            + [getattr(target, "id", None) for target in getattr(node, "targets", [])]
            + [getattr(getattr(node, "target", None), "id", None)]
            + [
                alias.asname or alias.name
                for alias in getattr(node, "names", [])
                if isinstance(alias, ast.alias)
            ]
        )
    }
    assert set(exported[0]) <= defined
    assert sorted(set(exported[0])) == sorted(exported[0])


@EACH
def test_a_module_can_be_read_in_one_sitting(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MAX_LINES


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
        assert arguments.kwarg is None, f"{function.name} takes **options"
        defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
        assert not any(isinstance(one, ast.List | ast.Dict | ast.Set) for one in defaults)


@EACH
def test_public_functions_have_a_docstring(path):
    if path.stem == "make_clips":
        return
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


def test_importing_the_package_is_quick_and_loads_nothing_heavy():
    code = (
        "import time, sys; t = time.perf_counter(); import ser_lib; "
        "print(time.perf_counter() - t, *{'numpy', 'pandas', 'tensorflow'} & set(sys.modules))"
    )
    # The best of three: other work on the machine is not the package's fault.
    printed = [_fresh(code).split() for _ in range(3)]
    assert min(float(one[0]) for one in printed) < 0.2
    assert all(len(one) == 1 for one in printed), printed


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("runs", {"tensorflow", "keras", "librosa", "matplotlib"}),
        ("studies", {"tensorflow", "keras", "librosa", "matplotlib"}),
        ("corpora", {"tensorflow", "keras", "librosa", "matplotlib", "sklearn"}),
        ("__main__", {"tensorflow", "keras", "librosa", "matplotlib", "pandas"}),
    ],
)
def test_importing_a_module_does_not_load_what_it_may_not_need(module, heavy):
    loaded = _fresh(f"import sys, ser_lib.{module}; print(*sys.modules)").split()
    assert not heavy & set(loaded)


def test_contributing_shows_these_levels():
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.split("## The arrows")[1].split("```")[1]
    shown = re.split(r"^ ?\d+ ", " ".join(block.split("\n   ")), flags=re.MULTILINE)[1:]
    assert [tuple(one.strip().split(", ")) for one in shown] == [tuple(one) for one in LEVELS]
