"""What a digest of code covers, and which commit a result is said to be from."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from dfsc import provenance
from dfsc.provenance import code_digest, commit, subcommands
from support.checkout import CHECKOUT

CACHED = [found for found in vars(provenance).values() if hasattr(found, "cache_clear")]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, to be edited, of which digests and commits are then taken."""
    copied = Path(shutil.copytree(provenance.PACKAGE, tmp_path / "around/dfsc"))
    monkeypatch.setattr(provenance, "PACKAGE", copied)
    for cached in CACHED:
        cached.cache_clear()
    yield copied
    for cached in CACHED:
        cached.cache_clear()


def digests(commands: Iterable[str]) -> dict[str, str]:
    """Subcommand -> its digest now."""
    for cached in CACHED:
        cached.cache_clear()
    return {command: code_digest(command) for command in commands}


def changed_by(edit: Callable[[], object], commands: Iterable[str] = ()) -> set[str]:
    """The subcommands, of all or of some, whose digest an edit changes."""
    commands = [*commands] or [*subcommands()]
    before = digests(commands)
    edit()
    after = digests(commands)
    return {command for command in before if before[command] != after[command]}


def rewrite(file: Path, old: str, new: str) -> Callable[[], object]:
    """An edit: `old` is replaced in `file`, where it must stand."""
    text = file.read_text()
    assert old in text
    return lambda: file.write_text(text.replace(old, new))


def test_each_rule_has_the_digest_of_the_subcommand_that_it_runs() -> None:
    found: dict[str, str] = {}
    for file in [CHECKOUT / "Snakefile", *(CHECKOUT / "workflow/rules").glob("*.smk")]:
        for rule in re.split(r"^\s*rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            words = re.findall(r'"dfsc ([a-z-]+)(?: ([a-z-]+))?', rule)
            run = {" ".join(filter(None, pair)) if pair[0] in ("teacher", "method") else pair[0] for pair in words}
            assert run <= subcommands().keys()
            # What is fetched is told by its SHA-256, whatever code fetches it.
            assert set(re.findall(r'code_digest\("(.*?)"\)', rule)) == run - {"fetch"}, rule
            found |= {name: rule.partition(":")[0] for name in run}
    assert {"train", "teacher pretrain", "teacher import", "novelty-over-training", "tables"} <= found.keys()


def test_typer_knows_the_same_subcommands() -> None:
    import typer

    from dfsc.cli import app

    group = typer.main.get_group(app)
    names = {
        f"{name} {inner}".strip()
        for name, command in group.commands.items()
        for inner in getattr(command, "commands", [""])
    }
    assert subcommands().keys() == names
    with pytest.raises(ValueError, match="trian"):
        code_digest("trian")


@pytest.mark.parametrize(
    ("module", "old", "new", "changed", "kept"),
    [
        ("training/student", 'code_digest("train")', 'code_digest("score")', {"train"}, {"teacher pretrain", "score"}),
        ("model/published_teachers", "import_teacher(file,", "import_teacher(1,",
         {"teacher import"}, {"train", "teacher pretrain"}),
        ("training/record", '"peak_memory_bytes"', '"peak"',
         {"train", "teacher pretrain"}, {"teacher import", "score"}),
        ("training/student", '"""Train one model;', '"""Make one model;', set(), {"train"}),
        ("model/losses", "import math", "import  math # ceil", set(), {"train"}),
        ("model/losses", "(teacher - autoencoder)", "(teacher + autoencoder)", {"train"}, {"score"}),
        ("model/losses", "student.square()", "student.abs()", {"train"}, {"teacher pretrain", "score", "evaluate"}),
        ("settings/building", "def read_settings(text", "def read_settings(given", {"train", "score"}, {"evaluate"}),
        ("settings/grid", 'baseline, f"EfficientAD-', 'baseline, f"EffAD-',
         {"tables", "auroc-over-quantile"}, {"train", "score", "track"}),
        ("commands/models", "max(1, workers),\n        progress", "workers,\n        progress", {"score"}, {"train"}),
        ("commands/models", "Train one model, Eff", "One Eff", set(), {"train"}),
        ("commands/models", 'help="Written by `dfsc train`."', "", set(), {"score"}),
        ("commands/models", "checkpoint_seconds: Seconds = 60", "checkpoint_seconds: Seconds = 9",
         {"train", "teacher pretrain"}, {"score"}),
        ("commands/options", "unit=f", "leave=True, unit=f", set(), {"manifest", "score"}),
        ("metrics/__init__", '"""', 'import os\n"""', {"evaluate", "tables"}, {"train"}),
        ("data/synthetic/damage", "\nimport numpy", "\nX = 1\nimport numpy", {"synthesize"}, {"train"}),
    ],
)  # fmt: skip
def test_an_edit_changes_the_digest_of_what_it_shapes(
    package: Path, module: str, old: str, new: str, changed: set[str], kept: set[str]
) -> None:
    found = changed_by(rewrite(package / f"{module}.py", old, new), changed | kept)
    assert found == changed


@pytest.mark.parametrize(
    "form",
    [
        "import dfsc.added.inner",
        "import math, dfsc.added.inner as known",
        "from dfsc.added import inner",
        "from dfsc.added.inner import LEVEL as known",
        "from dfsc.added.inner import *",
        "from ..added import inner",
        "from ..added.inner import LEVEL",
        "from .. import added",
        "def late():\n    from dfsc import added\n    return added",
        "class Late:\n    import dfsc.added.inner",
        "try:\n    import none\nexcept ImportError:\n    from dfsc.added import inner",
        "if LoopOptions:\n    pass\nelse:\n    from dfsc.added import inner",
        "try:\n    pass\nfinally:\n    from dfsc.added import inner",
        "match 1:\n    case 1:\n        with open(__file__):\n            from dfsc.added import inner",
    ],
)
def test_every_form_of_import_is_followed(package: Path, form: str) -> None:
    (package / "added").mkdir()
    (package / "added/__init__.py").write_text("from .inner import LEVEL\n")
    (package / "added/inner.py").write_text("LEVEL = 1\n")
    loop = package / "training/loop.py"
    loop.write_text(loop.read_text() + f"\n{form}\n")
    for file, old, new in (("inner", "1", "2"), ("__init__", "from .", "X = 1\nfrom .")):
        edit = rewrite(package / f"added/{file}.py", old, new)
        assert changed_by(edit, ["train", "score"]) == {"train"}


@pytest.mark.parametrize("form", ["import dfsc.training.progress", "from dfsc.training import progress"])
def test_what_shapes_nothing_is_in_no_digest_however_it_is_imported(package: Path, form: str) -> None:
    loop = package / "training/loop.py"
    loop.write_text(loop.read_text() + f"\n{form}\n")
    progress = package / "training/progress.py"
    assert changed_by(lambda: progress.write_text(progress.read_text() + "\nX = 1\n"), ["train", "score"]) == set()


def test_no_module_is_imported_by_a_name_made_at_run_time() -> None:
    # Detector is for users' own Python: no subcommand asks for it there.
    for file in {*provenance.PACKAGE.rglob("*.py")} - {provenance.PACKAGE / "inference/__init__.py"}:
        assert not re.search(r"import_module\(|__import__\(", file.read_text()), file


def test_what_python_loads_is_covered() -> None:
    """The modules that are loaded with those of a subcommand, by a real Python, are in its digest."""
    commands = ("synthesize", "evaluate", "tables", "teacher import")
    covered = {command: sorted({module for module, _ in provenance.parts_of(command)}) for command in commands}
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(f'dfsc.{name}')\n"
        "print(*[name for name in sys.modules if name.startswith('dfsc.')])"
    )
    left_out = {*provenance.SHARED, *provenance.SHAPING_NOTHING}
    for command, modules in covered.items():
        asked = [name for name in modules if name not in left_out]
        run = subprocess.run([sys.executable, "-c", program, *asked], capture_output=True, text=True, check=True)
        loaded = {name.removeprefix("dfsc.") for name in run.stdout.split()} - left_out
        assert loaded and loaded <= set(modules), command


def git(folder: Path, *arguments: str) -> None:
    """Run git without the user's own settings."""
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_the_commit_is_that_of_the_repository_which_tracks_this_code(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert commit() == "unknown (not in a git repository)"
    around = package.parent
    git(around, "init")
    (around / "thesis.tex").touch()
    git(around, "add", "thesis.tex")
    git(around, "commit", "-m", "another project")
    assert commit() == "unknown (not tracked by the git repository around it)"
    git(around, "add", "dfsc")
    git(around, "commit", "-m", "with dfsc")
    clean = commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (package / "untracked.py").touch()
    assert commit() == clean
    (package / "errors.py").write_text("edited")
    assert commit() == f"{clean}-dirty"

    (tmp_path / "hook").mkdir()
    git(tmp_path / "hook", "init")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "hook/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "hook"))
    assert commit() == f"{clean}-dirty", "as called from another repository's hook"
    monkeypatch.setenv("PATH", "/nowhere")
    assert commit() == "unknown (git is not installed)"


def test_a_checkout_of_another_owner_is_said_to_be_one(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("giving files to another user needs root")
    git(package.parent, "init")
    git(package.parent, "add", "dfsc")
    git(package.parent, "commit", "-m", "theirs")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for path in [package.parent, package.parent / ".git"]:
        os.chown(path, 12345, 12345)
    assert commit().startswith("unknown (git: dubious ownership")
    shutil.rmtree(package.parent / ".git/objects")
    for path in [package.parent, package.parent / ".git"]:
        os.chown(path, 0, 0)
    assert commit() == "unknown (not in a git repository)", "a damaged one"


def test_what_else_git_says_is_told(package: Path) -> None:
    git(package.parent, "init")
    (package.parent / ".git/config").write_text("[broken\n")
    said = subprocess.run(["git", "-C", str(package), "status"], capture_output=True, text=True, check=False).stderr
    assert said.startswith("fatal: bad config") and commit() == f"unknown (git: {said.strip().removeprefix('fatal: ')})"


def test_a_result_records_commit_hardware_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "RECORDED_VERSIONS", ("torch", "no such package"))
    assert provenance.provenance("a card") == {
        "commit": commit(),
        "hardware": f"a card ({platform.machine()}, {platform.node()})",
        "python": platform.python_version(),
        "versions": {"torch": version("torch"), "no such package": "not installed"},
    }
