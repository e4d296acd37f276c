"""`dfsc method new` writes what works at once; `dfsc method check` says in one line what is wrong."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from dfsc.outside.check import difference
from dfsc.outside.output import Output
from dfsc.settings.reading import read_configuration
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.outside_methods import IN_AWK, in_python, write_method


def test_a_new_method_works_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert dfsc("method", "new", "mine", "--folder", tmp_path).code == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["method.py", "requirements.txt", "run"]
    outcome = dfsc("method", "check", "mine", "--folder", tmp_path)
    assert outcome.code == 0, outcome.errors
    last = capfd.readouterr().out.splitlines()
    assert re.search(r"mine/run: works; image AUROC on 18 generated images: logical \d+\.\d, structural", last[-2])
    assert last[-2].endswith(" s a run"), "it writes maps of validation images"
    assert last[-1].startswith("add it to a configuration: methods: {mine: {label: mine, command: ")


def test_the_time_told_is_that_of_one_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    in_python(tmp_path / "slow", "time.sleep(2)\n[save(i, [[i.stat().st_size]]) for i in images]")
    began = time.monotonic()
    outcome = dfsc("method", "check", "slow", "--folder", tmp_path)
    assert outcome.code == 0, outcome.errors
    told = re.search(r"; (\d+\.\d) s a run", capfd.readouterr().out)
    assert told and 2 <= float(told[1]) <= (time.monotonic() - began) / 2 + 0.05, "there were two"


def test_the_auroc_told_is_that_of_the_methods_own_scores(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Scores that are the maps' maxima backwards turn every AUROC round."""
    maps = "[save(i, [[i.stat().st_size]]) for i in images]\n"
    rows = "rows = [f'{i.name},{-i.stat().st_size}' for i in images]\n"
    in_python(tmp_path / "by_maps", maps)
    in_python(
        tmp_path / "by_scores",
        f"{maps}{rows}(output / 'scores.csv').write_text('\\n'.join(['name,image_score', *rows, '']))",
    )
    told = []
    for name in ("by_maps", "by_scores"):
        assert dfsc("method", "check", name, "--folder", tmp_path).code == 0
        told.append([float(text) for text in re.findall(r"(?:logical|structural) (\d+\.\d)", capfd.readouterr().out)])
    assert [one + other for one, other in zip(*told, strict=True)] == pytest.approx([100, 100], abs=0.11)
    assert told[0] != pytest.approx([50, 50], abs=1)


@pytest.mark.parametrize(("options", "device"), [([], "cpu"), (["--device", "cuda"], "cuda")])
def test_a_method_is_told_the_device_that_is_asked_for(tmp_path: Path, options: list[str], device: str) -> None:
    in_python(tmp_path / "asking", "sys.exit(given['--device'])")
    outcome = dfsc("method", "check", "asking", "--folder", tmp_path, *options)
    assert outcome.code == 1 and outcome.errors.endswith(f"its last lines: {device}\n"), outcome.errors


def test_a_run_is_stopped_after_the_minutes_that_are_given(tmp_path: Path) -> None:
    in_python(tmp_path / "slow", "time.sleep(99)")
    outcome = dfsc("method", "check", "slow", "--folder", tmp_path, "--minutes", 0.01)
    assert outcome.code == 1 and "slow/run: was stopped after 0.01 minutes; it" in outcome.errors, outcome.errors


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_no_time_at_all_is_refused(tmp_path: Path, minutes: str) -> None:
    in_python(tmp_path / "mine", "[save(i, [[i.stat().st_size]]) for i in images]")
    outcome = dfsc("method", "check", "mine", "--folder", tmp_path, "--minutes", minutes)
    assert outcome.code == 2 and outcome.errors == f"dfsc: --minutes: {minutes} must be above 0\n"


def test_a_new_method_never_replaces_one(tmp_path: Path) -> None:
    assert dfsc("method", "new", "mine", "--folder", tmp_path).code == 0
    (tmp_path / "mine/method.py").write_text("a week's work")
    outcome = dfsc("method", "new", "mine", "--folder", tmp_path)
    assert outcome.code == 2 and "mine: exists; choose another name" in outcome.errors
    assert (tmp_path / "mine/method.py").read_text() == "a week's work"


REFUSED = {
    **dict.fromkeys(["../mine", "my method", "mine-2", "", "_x", "m" * 41], "letters, digits and _"),
    **dict.fromkeys(["random", "oracle"], "is the name of a control"),
    **dict.fromkeys(["yes", "Off", "null", "123", "0x1F"], "YAML reads this name as no text"),
}


@pytest.mark.parametrize("subcommand", ["new", "check"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_no_configuration_takes_is_refused(tmp_path: Path, name: str, subcommand: str) -> None:
    outcome = dfsc("method", subcommand, name, "--folder", tmp_path / "methods")
    assert outcome.code == 2 and REFUSED[name] in outcome.errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mine_2", "3D_ST", "m" * 40])
def test_what_is_to_be_added_to_a_configuration_is_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "my, methods"
    write_method(folder / name, IN_AWK)
    assert dfsc("method", "check", name, "--folder", folder).code == 0
    (tmp_path / "mine.yaml").write_text(capfd.readouterr().out.partition("add it to a configuration: ")[2])
    monkeypatch.chdir(CHECKOUT)
    methods = read_configuration([tmp_path / "mine.yaml"])["methods"]
    assert methods == {name: {"label": name.replace("_", " "), "command": str(folder / name / "run")}}


WRONG = {
    "a map missing": ("[save(i, random.random((3, 3))) for i in images[1:]]", r"test_0000.tiff: is missing; 1 of 18"),
    "NaN": ("[save(i, [[0, np.nan]]) for i in images]", r"test_\d+.npy: holds NaN or infinite values"),
    "a crash": ("print('started', flush=True); sys.exit('no GPU')", r"exit code 1; its last lines: started \| no GPU"),
    "maps of the order": ("[save(i, [[n, 0]]) for n, i in enumerate(images)]", r"a test image's map changes when test"),
    "the order, in a small part of high maps": (
        "[save(i, [[1000 + n / 9, 1000]]) for n, i in enumerate(images)]", r"a test image's map changes when test"
    ),
    "scores of the order": (
        "[save(i, [[i.stat().st_size]]) for i in images]\n"
        "rows = [f'{i.name},{n}' for n, i in enumerate(images)]\n"
        "(output / 'scores.csv').write_text('\\n'.join(['name,image_score', *rows, '']))",
        r"a test image's score changes when test images are named and ordered otherwise",
    ),
    "chance": (
        "random = np.random.default_rng()\n[save(i, random.random((2, 2))) for i in images]",
        r"a test image's map changes from one run to the next on the same images.*draw all randomness from --seed",
    ),
    "chance in scores": (
        "[save(i, [[i.stat().st_size]]) for i in images]\n"
        "rows = [f'{i.name},{np.random.random()}' for i in images]\n"
        "(output / 'scores.csv').write_text('\\n'.join(['name,image_score', *rows, '']))",
        r"a test image's score changes from one run to the next",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, fault: str) -> None:
    lines, told = WRONG[fault]
    in_python(tmp_path / "wrong", lines)
    outcome = dfsc("method", "check", "wrong", "--folder", tmp_path)
    assert outcome.code == 1 and re.match(rf"dfsc: {tmp_path}/wrong/run: ", outcome.errors), outcome.errors
    assert re.search(told, outcome.errors) and outcome.errors.count("\n") == 1


def test_what_differs_is_said() -> None:
    low, high = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    maps = {"test/good/000.png": low, "validation/good/000.png": high}
    first = Output(maps, {"test/good/000.png": 0.0, "validation/good/000.png": 1.0})
    assert first.scores and difference(first, first) == ""
    others = {
        "a validation image's map changes": Output({**maps, "validation/good/000.png": low}, first.scores),
        "a validation image's score changes": Output(maps, {**first.scores, "validation/good/000.png": 0.5}),
        "which images have maps or scores changes": Output({"test/good/000.png": low}, first.scores),
    }
    assert [difference(first, other) for other in others.values()] == list(others)
    assert difference(first, Output(maps, {"test/good/000.png": 0.0})) == "which images have maps or scores changes"


def test_no_terminal_obeys_what_a_method_writes(tmp_path: Path) -> None:
    faults = {"said": "sys.exit('\\x1b[2J')", "named": "(output / '\\x1b[2J.npy').touch()"}
    for name, lines in faults.items():
        in_python(tmp_path / name, lines)
        outcome = dfsc("method", "check", name, "--folder", tmp_path)
        assert outcome.code == 1 and "\\x1b[2J" in outcome.errors and outcome.errors.isascii(), outcome.errors
        assert "\x1b" not in outcome.errors


def test_a_method_of_another_language_passes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_method(tmp_path / "awk", IN_AWK)
    outcome = dfsc("method", "check", "awk", "--folder", tmp_path)
    assert outcome.code == 0, outcome.errors
    assert "without maps of validation images, Table 5 is not measured" in capfd.readouterr().out
