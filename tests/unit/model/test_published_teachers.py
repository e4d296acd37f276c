"""Published teachers: state dicts of other repositories are taken over exactly, whatever their layers' names."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dfsc.files import read_json, sha256_of
from dfsc.model.networks import SIZES, pdn
from dfsc.model.published_teachers import KNOWN
from dfsc.model.saved import load_teacher
from support.command_line import dfsc


def teacher(size: str) -> nn.Sequential:
    """A teacher with random weights."""
    torch.manual_seed(1)
    return pdn(SIZES[size], 384)


def as_anomalib(network: nn.Sequential) -> dict[str, Tensor]:
    """The same weights under anomalib's names: conv1.weight, conv1.bias, ..."""
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    named = nn.ModuleDict({f"conv{number}": layer for number, layer in enumerate(convolutions, start=1)})
    return dict(named.state_dict())


def ours(folder: Path) -> tuple[object, ...]:
    """Arguments of `dfsc teacher import`: what it writes, in `folder`."""
    return ("--output", folder / "ours.pt", "--record", folder / "ours.json")


@pytest.mark.parametrize("size", ["S", "M"])
@pytest.mark.parametrize("style", ["nelson1425", "anomalib", "zip"])
def test_weights_are_taken_over_exactly(tmp_path: Path, size: str, style: str) -> None:
    network, file = teacher(size), tmp_path / "teacher.pth"
    torch.save(network.state_dict() if style == "nelson1425" else as_anomalib(network), file)
    if style == "zip":
        archive = tmp_path / "teachers.zip"
        with zipfile.ZipFile(archive, "w") as both:
            both.write(file, f"weights/pretrained_teacher_{'small' if size == 'S' else 'medium'}.pth")
            both.write(file, "weights/pretrained_teacher_other.pth")
        file = archive
    digest = sha256_of(file).upper() if style == "zip" else sha256_of(file)
    outcome = dfsc("teacher", "import", file, "--size", size, *ours(tmp_path), "--sha256", digest)
    assert outcome.code == 0, outcome.errors
    imported = load_teacher(tmp_path / "ours.pt", size)
    assert all(torch.equal(value, imported[name]) for name, value in network.state_dict().items())
    said = f"published: {file.name} (sha256 {sha256_of(file)})"
    assert read_json(tmp_path / "ours.json") == {"teacher": said, "digest": sha256_of(tmp_path / "ours.pt")}


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_weights_of_another_precision_become_float32(tmp_path: Path, kind: torch.dtype) -> None:
    network, file = teacher("S").to(kind), tmp_path / "teacher.pth"
    torch.save(network.state_dict(), file)
    arguments = ("--size", "S", *ours(tmp_path), "--sha256", sha256_of(file))
    assert dfsc("teacher", "import", file, *arguments).code == 0
    for name, value in load_teacher(tmp_path / "ours.pt", "S").items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, network.state_dict()[name].float(), rtol=0, atol=0)


def test_an_unknown_file_must_be_vouched_for(tmp_path: Path) -> None:
    file = tmp_path / "teacher_small.pth"
    torch.save(teacher("S").state_dict(), file)
    arguments = ("teacher", "import", file, "--size", "S", *ours(tmp_path))
    outcome = dfsc(*arguments)
    assert outcome.code == 2 and sha256_of(file) in outcome.errors and "--sha256" in outcome.errors
    outcome = dfsc(*arguments, "--sha256", "0" * 64)
    assert outcome.code == 2 and str(file) in outcome.errors
    assert not (tmp_path / "ours.pt").exists()


def test_a_known_file_needs_no_digest_and_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "renamed.pth"
    torch.save(teacher("S").state_dict(), file)
    monkeypatch.setitem(KNOWN, sha256_of(file), "somebody's teacher_small.pth")
    arguments = ("teacher", "import", file, "--size", "S", *ours(tmp_path))
    outcome = dfsc(*arguments, "--sha256", "0" * 64)
    assert outcome.code == 2 and str(file) in outcome.errors and not (tmp_path / "ours.pt").exists()
    assert dfsc(*arguments).code == 0
    said = f"published: somebody's teacher_small.pth (sha256 {sha256_of(file)})"
    assert read_json(tmp_path / "ours.json")["teacher"] == said


@pytest.mark.parametrize("content", [{"0.weight": torch.zeros(3)}, {"note": "hello"}, nn.Linear(2, 2)])
def test_other_content_is_refused(tmp_path: Path, content: object) -> None:
    file = tmp_path / "teacher.pth"
    torch.save(content, file)
    outcome = dfsc(*("teacher", "import", file, "--size", "S", *ours(tmp_path), "--sha256", sha256_of(file)))
    assert outcome.code == 2 and str(file) in outcome.errors and outcome.errors.count("\n") == 1


def test_a_zip_of_two_teachers_of_one_size_is_refused(tmp_path: Path) -> None:
    torch.save(teacher("S").state_dict(), tmp_path / "teacher.pth")
    file = tmp_path / "teachers.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("small.pth", "other/small.pth"):
            archive.write(tmp_path / "teacher.pth", name)
    outcome = dfsc(*("teacher", "import", file, "--size", "S", *ours(tmp_path), "--sha256", sha256_of(file)))
    assert outcome.code == 2 and "holds 2 teachers of size S: small.pth, other/small.pth" in outcome.errors


def test_a_teacher_of_the_other_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "teacher.pth"
    torch.save(teacher("M").state_dict(), file)
    outcome = dfsc(*("teacher", "import", file, "--size", "S", *ours(tmp_path), "--sha256", sha256_of(file)))
    assert outcome.code == 2 and "do not fit a teacher of size S" in outcome.errors
