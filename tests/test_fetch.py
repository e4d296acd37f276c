"""Fetching against a real HTTP server on this machine, one that behaves and one that does not."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml

from dfsc.data.adoption import check_published
from dfsc.data.archive import RECEIPT, extract, require_intact
from dfsc.data.download import download
from dfsc.data.sources import fetch_source, place_of, read_source
from dfsc.errors import RunFailed, UserError
from dfsc.files import sha256_of
from dfsc.model.published_teachers import KNOWN
from dfsc.model.saved import save_tensors
from dfsc.settings.teacher import PUBLISHED_SOURCES
from support.checkout import CHECKOUT
from support.http_server import CONTENT, Server, running_server
from support.prepared import Prepared

DIGEST = hashlib.sha256(CONTENT).hexdigest()
PNG = {"breakfast_box/train/good/000.png": b"first", "breakfast_box/test/good/000.png": b"second"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as running:
        yield running


def quick_download(address: str, output: Path, sha256: str = DIGEST) -> str:
    return download(address, output, sha256, timeout=1.0, tries=3, pause=0.05)


TarMode = Literal["w", "w:gz", "w:xz"]


def tar(mode: TarMode, members: dict[str, bytes], extra: Callable[[tarfile.TarFile], None] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if extra:
            extra(archive)
    return stream.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def write_sources(path: Path, name: str, address: str, content: bytes, output: str, unpack: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    path.write_text(
        f'sources:\n  {name}:\n    address: {address}\n    sha256: "{digest}"\n'
        f"    output: {output}\n    unpack: {str(unpack).lower()}\n    licence: none\n"
    )


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start a command in `folder`, with this environment's programs on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def start_fetch(folder: Path, name: str) -> subprocess.Popen[str]:
    return start(folder, "dfsc", "fetch", name, "--sources", "config/sources.yaml")


def succeed(*processes: subprocess.Popen[str]) -> str:
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
    return "\n".join(outputs)


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != RECEIPT
    }


# Download


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8], DIGEST.upper()])
def test_whole_download(server: Server, tmp_path: Path, sha256: str) -> None:
    output = tmp_path / "data" / "data.bin"
    for _ in range(2):  # the second finds the work done
        assert quick_download(server.address("good/data.bin"), output, sha256) == DIGEST
    assert output.read_bytes() == CONTENT
    assert server.ranges("good/data.bin") == [None]
    assert list(output.parent.iterdir()) == [output]


def test_dropped_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    quick_download(server.address("cut/data.bin"), tmp_path / "data.bin")
    whole, rest = server.ranges("cut/data.bin")
    assert whole is None
    assert rest is not None
    assert 0.4 * len(CONTENT) < int(rest.removeprefix("bytes=").removesuffix("-")) <= 0.5 * len(CONTENT)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    quick_download(server.address("cut-norange/data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [CONTENT[:-1], CONTENT, CONTENT + b"more", b"another" * 1000])
def test_what_is_kept_is_completed_or_replaced(server: Server, tmp_path: Path, kept: bytes) -> None:
    """Missing a byte, complete, longer than the file (416), or of a file that has changed since."""
    (tmp_path / "data.bin.partial").write_bytes(kept)
    quick_download(server.address("good/data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.ranges("good/data.bin")[0] == f"bytes={len(kept)}-"


@pytest.mark.parametrize("behaviour", ["busy", "slow"])
def test_busy_and_slow_servers_are_asked_again(server: Server, tmp_path: Path, behaviour: str) -> None:
    quick_download(server.address(f"{behaviour}/data.bin"), tmp_path / "data.bin")
    assert len(server.ranges(f"{behaviour}/data.bin")) == 2


def test_wrong_bytes_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        quick_download(server.address("wrong/data.bin"), tmp_path / "data.bin")
    wrong = hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert all(part in str(error.value) for part in (str(tmp_path / "data.bin"), DIGEST, wrong))
    assert list(tmp_path.iterdir()) == []


def test_missing_file_and_unreachable_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="404"):
        quick_download(server.address("good/none.bin"), tmp_path / "data.bin")
    assert len(server.requests) == 1
    with pytest.raises(RunFailed, match="3 tries"):
        quick_download("http://127.0.0.1:9/data.bin", tmp_path / "data.bin")
    with pytest.raises(UserError, match="http"):
        quick_download("ftp://127.0.0.1/data.bin", tmp_path / "data.bin")


def test_a_file_that_is_there_is_never_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match="not replaced"):
        quick_download(server.address("good/data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"mine"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_local_copy(tmp_path: Path, scheme: str) -> None:
    copy = tmp_path / "my copy.bin"
    copy.write_bytes(CONTENT)
    address = f"file://{copy.as_posix().replace(' ', '%20')}" if scheme else str(copy)
    quick_download(address, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == copy.read_bytes() == CONTENT
    with pytest.raises(UserError, match="no such file"):
        quick_download(str(tmp_path / "none.bin"), tmp_path / "other.bin")


# Unpacking


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "zip"])
def test_unpack(tmp_path: Path, kind: TarMode | Literal["zip"]) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(zipped(PNG) if kind == "zip" else tar(kind, PNG))
    extract(archive, tmp_path / "data", "0" * 64)
    assert contents(tmp_path / "data") == PNG
    require_intact(tmp_path / "data", "0" * 8, "move it")
    with pytest.raises(UserError, match="exists already"):
        extract(archive, tmp_path / "data", "0" * 64)


@pytest.mark.parametrize("damage", ["changed", "removed", "added", "added where a receipt could lie"])
def test_a_changed_folder_is_noticed(tmp_path: Path, damage: str) -> None:
    archive, folder = tmp_path / "archive", tmp_path / "data"
    archive.write_bytes(tar("w", PNG))
    extract(archive, folder, "0" * 64)
    added = {"added": "added.png", "added where a receipt could lie": f"breakfast_box/{RECEIPT}"}
    file = folder / added.get(damage, next(iter(PNG)))
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(b"third")
    with pytest.raises(UserError, match=str(file)):
        require_intact(folder, "0" * 64, "move it")


def special(name: str, kind: bytes) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, next(iter(PNG))
        archive.addfile(member)

    return add


def linked_zip() -> bytes:
    member = zipfile.ZipInfo("link.png")
    member.external_attr = 0o120777 << 16
    stream = io.BytesIO(zipped(PNG))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(member, "/etc/passwd")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("archive", "named"),
    [
        (tar("w", PNG | {"../outside.png": b""}), "../outside.png"),
        (tar("w", PNG | {"a/../../outside.png": b""}), "a/../../outside.png"),
        (tar("w", PNG | {"/outside.png": b""}), "/outside.png"),
        (zipped(PNG | {"../outside.png": b""}), "../outside.png"),
        (tar("w", PNG, special("link.png", tarfile.SYMTYPE)), "link.png"),
        (tar("w", PNG, special("hard.png", tarfile.LNKTYPE)), "hard.png"),
        (tar("w", PNG, special("device", tarfile.CHRTYPE)), "device"),
        (tar("w", PNG, special("pipe", tarfile.FIFOTYPE)), "pipe"),
        (linked_zip(), "link.png"),
    ],
)
def test_unsafe_members_are_refused(tmp_path: Path, archive: bytes, named: str) -> None:
    path = tmp_path / "inner" / "archive"
    path.parent.mkdir()
    path.write_bytes(archive)
    with pytest.raises(UserError) as error:
        extract(path, path.parent / "data", "0" * 64)
    assert repr(named) in str(error.value)
    assert str(path) in str(error.value)
    assert list(tmp_path.rglob("*")) == [path.parent, path]


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "zip", "none"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_truncated_archives_are_refused(tmp_path: Path, kind: TarMode | Literal["zip", "none"], part: float) -> None:
    members = {f"{name}.png": CONTENT[:1024] for name in range(20)}
    whole = b"no archive at all" if kind == "none" else zipped(members) if kind == "zip" else tar(kind, members)
    if kind == "w":
        whole = whole[: 20 * 1536]  # without the padding; 0.3, 0.5 and 0.9 of it end where a member ends
    path = tmp_path / "archive"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(UserError) as error:
        extract(path, tmp_path / "data", "0" * 64)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


# Disk full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root, and not in every container")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_is_seen_before_the_download(server: Server, small_disk: Path) -> None:
    with pytest.raises(UserError, match=r"data\.bin.*needs 1\.0 MB, but 0\.6 MB are free"):
        quick_download(server.address("good/data.bin"), small_disk / "data.bin")
    assert list(small_disk.iterdir()) == []


def test_disk_that_fills_during_the_download(server: Server, small_disk: Path) -> None:
    """A server that does not say how much it will send."""
    with pytest.raises(UserError, match=r"data\.bin: cannot be written \(No space left on device\)"):
        quick_download(server.address("unsized/data.bin"), small_disk / "data.bin")
    assert not (small_disk / "data.bin").exists()


def test_full_disk_during_unpacking(small_disk: Path, tmp_path: Path) -> None:
    large = {"large.png": bytes(900_000)}
    for number, (archive, reason) in enumerate([(zipped(large), "needs"), (tar("w:gz", large), "No space left")]):
        path = tmp_path / f"archive{number}"
        path.write_bytes(archive)
        with pytest.raises(UserError, match=reason):
            extract(path, small_disk / "data", "0" * 64)
        assert list(small_disk.iterdir()) == []


def test_full_disk_while_a_model_is_saved(small_disk: Path) -> None:
    with pytest.raises(UserError, match=r"model\.pt: cannot be written \(No space left on device\)"):
        save_tensors(small_disk / "model.pt", {"weights": torch.zeros(10**6)})
    assert list(small_disk.iterdir()) == []


# The whole way


def test_fetch_unpacks_once_and_keeps_no_archive(server: Server, tmp_path: Path) -> None:
    server.files["loco.tar.xz"] = tar("w:xz", PNG)
    sources = tmp_path / "sources.yaml"
    output = tmp_path / "data" / "loco"
    write_sources(sources, "loco", server.address("good/loco.tar.xz"), server.files["loco.tar.xz"], str(output), True)
    for _ in range(2):
        fetch_source("loco", sources)
    assert contents(output) == PNG
    assert len(server.requests) == 1
    assert {path.name for path in output.parent.iterdir()} == {"loco", ".loco.lock"}


def test_fetch_of_wrong_bytes_unpacks_nothing(server: Server, tmp_path: Path) -> None:
    server.files["loco.tar.xz"] = tar("w:xz", PNG)
    sources = tmp_path / "sources.yaml"
    output = tmp_path / "data" / "loco"
    write_sources(sources, "loco", server.address("wrong/loco.tar.xz"), server.files["loco.tar.xz"], str(output), True)
    with pytest.raises(UserError, match="SHA-256"):
        fetch_source("loco", sources)
    assert {path.name for path in output.parent.iterdir()} == {".loco.lock"}


def test_fetch_never_replaces_a_folder(tmp_path: Path) -> None:
    sources, output, archive = tmp_path / "sources.yaml", tmp_path / "loco", tmp_path / "archive"
    archive.write_bytes(tar("w", PNG))
    write_sources(sources, "loco", str(archive), archive.read_bytes(), str(output), True)
    output.mkdir()
    with pytest.raises(UserError, match="was not fetched"):
        fetch_source("loco", sources)
    output.rmdir()
    fetch_source("loco", sources)
    assert archive.exists()  # a copy of the user's own
    write_sources(sources, "loco", str(archive), b"another release", str(output), True)
    with pytest.raises(UserError, match=sha256_of(archive)):
        fetch_source("loco", sources)
    assert contents(output) == PNG


def test_a_copy_of_the_archive_with_other_bytes_is_not_unpacked(tmp_path: Path) -> None:
    sources, archive = tmp_path / "sources.yaml", tmp_path / "archive"
    archive.write_bytes(tar("w", PNG))
    write_sources(sources, "loco", str(archive), b"the published one", str(tmp_path / "data/loco"), True)
    with pytest.raises(UserError, match=f"archive: has SHA-256 {sha256_of(archive)}"):
        fetch_source("loco", sources)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {".loco.lock"} and archive.exists()


# What is there already


@pytest.fixture
def project(tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose source `loco` cannot be downloaded, and a copy unpacked by hand outside of it, tmp_path/copy."""
    root = tmp_path / "project"
    (root / "config").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "config/loco.csv").write_text(
        "category,width,height,train,validation,good,logical,structural\n"
        "another,320,240,1,1,1,1,1\ncoin_tray,320,240,6,3,3,3,3\n"
    )
    (root / "config/photographs.csv").write_text("folder,images\npretraining,12\n")
    list_source(root)
    shutil.copytree(prepared.dataset, tmp_path / "copy")
    monkeypatch.chdir(root)
    return root


def list_source(project: Path, **changes: object) -> None:
    entry = {"address": "http://127.0.0.1:9/loco", "sha256": "0" * 64, "output": "data/loco", "unpack": True}
    entry |= {"licence": "none", "published": "config/loco.csv", **changes}
    (project / "config/sources.yaml").write_text(yaml.safe_dump({"sources": {"loco": entry}}))


@pytest.mark.parametrize("way", ["a link", "a folder", "a read-only copy", "the address", "photographs", "elsewhere"])
def test_a_copy_unpacked_by_hand_is_adopted(project: Path, capfd: pytest.CaptureFixture[str], way: str) -> None:
    copy, output, elsewhere = project.parent / "copy", project / "data/loco", None
    if way == "a folder":
        copy = copy.rename(output)
    elif way == "the address":
        list_source(project, address=str(copy))
    elif way == "elsewhere":
        elsewhere = copy
    else:
        output.symlink_to(copy)
    if way == "a read-only copy":
        for path in [*copy.rglob("*"), copy]:
            path.chmod(0o555 if path.is_dir() else 0o444)
    if way == "photographs":
        list_source(project, published="config/photographs.csv")
    before = contents(copy)
    for _ in range(2):
        fetch_source("loco", Path("config/sources.yaml"), elsewhere, through_dvc=True)
        assert "it is adopted" in capfd.readouterr().err
    assert contents(copy) == before and not (copy / RECEIPT).exists()
    receipt = json.loads((elsewhere or output).with_name(f"{(elsewhere or output).name}.adopted.json").read_text())
    assert set(receipt["files"]) == set(before)
    assert receipt["files"]["coin_tray/defects_config.json"] == sha256_of(copy / "coin_tray/defects_config.json")
    if elsewhere is None:
        assert contents(output) == before


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("rm -r coin_tray", "loco/another: no such folder"),
        ("rm coin_tray/test/good/001.png", "loco/coin_tray/test/good: holds 2 images, but 3"),
        ("rm -r coin_tray/ground_truth", "loco/coin_tray/ground_truth: is missing"),
        ("rm coin_tray/defects_config.json", "defects_config.json: is missing"),
        ("mkdir another", "loco/another/defects_config.json: is missing"),
        ("cp pretraining/*00.* coin_tray/train/good/000.png", "coin_tray/train/good/000.png: is"),
        ("cp defects coin_tray/test/good/000.png", "coin_tray/test/good/000.png: cannot be"),
    ],
)
def test_a_copy_that_does_not_fit_is_refused(project: Path, damage: str, named: str) -> None:
    copy = project.parent / "copy"
    (project / "data/loco").symlink_to(copy)
    (copy / "defects").write_text("no image")
    subprocess.run(damage, shell=True, cwd=copy, check=True)
    with pytest.raises(UserError, match=named) as error:
        fetch_source("loco", Path("config/sources.yaml"), through_dvc=True)
    assert "\n" not in str(error.value)
    assert [path.name for path in (project / "data").iterdir() if not path.name.startswith(".")] == ["loco"]


@pytest.mark.parametrize("category", ["coin_tray", "another"])
def test_each_category_of_a_copy_is_checked(project: Path, category: str) -> None:
    copy, table = project.parent / "copy", project / "config/loco.csv"
    shutil.copytree(copy / "coin_tray", copy / "another")
    table.write_text(table.read_text().replace("another,320,240,1,1,1,1,1", "another,320,240,6,3,3,3,3"))
    check_published(copy, table)
    (copy / category / "train/good/003.png").unlink()
    with pytest.raises(UserError, match=f"{category}/train/good: holds 5 images, but 6"):
        check_published(copy, table)


@pytest.mark.parametrize(("more", "found"), [(-1, 11), (0, 12), (1, 13)])
def test_the_images_of_a_folder_are_counted_in_all_folders_below_it(project: Path, more: int, found: int) -> None:
    folder, table = project.parent / "copy/pretraining", project / "config/photographs.csv"
    first, second, *_ = sorted(folder.glob("*.png"))
    (folder / "n01/deeper").mkdir(parents=True)
    first.rename(folder / "n01/deeper/first.png")
    (folder / "n01/._first.png").touch()
    if more == -1:
        second.unlink()
    elif more == 1:
        shutil.copy(second, folder / "n01")
    with contextlib.nullcontext() if more == 0 else pytest.raises(UserError, match=f"holds {found} images, but 12 are"):
        check_published(folder.parent, table)


@pytest.mark.parametrize("linked", ["data/loco", "data"])
@pytest.mark.parametrize("unpack", [True, False])
def test_a_link_to_nothing_is_filled_through(tmp_path: Path, project: Path, linked: str, unpack: bool) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(tar("w", PNG))
    list_source(project, address=str(archive), sha256=sha256_of(archive).upper(), unpack=unpack)
    (project / "data").rmdir()
    (project / linked).parent.mkdir(exist_ok=True)
    (project / linked).symlink_to(tmp_path / "large disk/of mine")
    for _ in range(2):
        fetch_source("loco", Path("config/sources.yaml"), through_dvc=True)
    assert (project / linked).is_symlink()
    place = (tmp_path / "large disk/of mine") / Path("data/loco").relative_to(linked)
    assert contents(place) == PNG if unpack else place.read_bytes() == archive.read_bytes()


def test_home_and_variables_are_expanded_or_refused_by_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    monkeypatch.setenv("SCRATCH", "somewhere")
    monkeypatch.delenv("NOWHERE", raising=False)
    sources = Path("config/sources.yaml")
    list_source(project, address="~/copy", output="${SCRATCH}/loco")
    assert read_source("loco", sources).address == str(project.parent / "copy")
    assert read_source("loco", sources).output == Path("somewhere/loco")
    list_source(project, address="https://host/~me/a$NOWHERE")
    assert read_source("loco", sources).address == "https://host/~me/a$NOWHERE"
    for key in ("address", "output"):
        list_source(project, **{key: "$NOWHERE/loco"})
        with pytest.raises(UserError, match=rf"sources\.loco\.{key}: the variable \$NOWHERE is not set"):
            read_source("loco", sources)
    list_source(project, address="~nobody-of-that-name/loco")
    with pytest.raises(UserError, match="no such home"):
        read_source("loco", sources)


def test_the_key_that_asks_for_what_is_not_listed_is_named() -> None:
    sources = CHECKOUT / "config/sources.yaml"
    named = (
        r"config: teacher\.backbone: resnet50 is to be fetched, but .*sources\.yaml: lists no source 'resnet50'; it has"
    )
    with pytest.raises(UserError, match=named) as error:
        place_of("resnet50", "teacher.backbone", sources)
    assert "\n" not in str(error.value)
    assert place_of("wide_resnet101_2", "teacher.backbone", sources).name == "wide_resnet101_2-32ee1156.pth"


@pytest.mark.parametrize("size", ["S", "M"])
def test_the_listed_teachers_are_those_that_are_known(size: str) -> None:
    source = read_source(PUBLISHED_SOURCES[size], CHECKOUT / "config/sources.yaml")
    assert KNOWN[source.sha256] == f"nelson1425/EfficientAD {source.output.name}"
    assert {"S": "small", "M": "medium"}[size] in source.output.name and source.address.endswith(source.output.name)


@pytest.mark.parametrize("name", ["mvtec_loco", "wide_resnet101_2", "imagenette"])
def test_the_sources_of_the_project(name: str) -> None:
    source = read_source(name, CHECKOUT / "config" / "sources.yaml")
    assert source.address.startswith("https://")
    assert source.output.parts[0] == "data"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sources: {other: {}}", "no source 'loco'; it has other"),
        ("sources: {loco: {adress: x}}", r"sources\.loco must have the keys"),
        ("sources: {loco: {address: x, sha256: abc, output: x, unpack: true, licence: x}}", "hex digits"),
        ("sources: {loco: {address: x, sha256: '00000000', output: x, unpack: 'no', licence: x}}", "true or false"),
        ("loco: x", "mapping"),
        ("- [", "YAML"),
    ],
)
def test_wrong_sources_are_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "sources.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"sources\.yaml.*{reason}") as error:
        fetch_source("loco", tmp_path / "sources.yaml")
    assert "\n" not in str(error.value)


def test_two_fetches_at_once_download_once(server: Server, tmp_path: Path) -> None:
    server.files["loco.zip"] = zipped(PNG | {"large.png": CONTENT})
    address = server.address("drip/loco.zip")
    write_sources(tmp_path / "config/sources.yaml", "loco", address, server.files["loco.zip"], "data/loco", True)
    printed = succeed(*(start_fetch(tmp_path, "loco") for _ in range(2)))
    assert "waiting" in printed
    assert len(server.requests) == 1
    assert contents(tmp_path / "data/loco").keys() == PNG.keys() | {"large.png"}


def test_killed_during_download(server: Server, tmp_path: Path) -> None:
    address = server.address("drip/data.bin")
    write_sources(tmp_path / "config/sources.yaml", "weights", address, CONTENT, "data/data.bin", False)
    partial = tmp_path / "data/data.bin.partial"
    kill_when(start_fetch(tmp_path, "weights"), lambda: partial.exists() and partial.stat().st_size > 300_000)
    assert not (tmp_path / "data/data.bin").exists()
    succeed(start_fetch(tmp_path, "weights"))
    assert (tmp_path / "data/data.bin").read_bytes() == CONTENT
    assert server.ranges("drip/data.bin")[1] is not None


def test_killed_during_unpacking(server: Server, tmp_path: Path) -> None:
    members = {f"train/{number}.png": b"image" for number in range(1500)}
    server.files["loco.tar"] = tar("w", members)
    address = server.address("good/loco.tar")
    write_sources(tmp_path / "config/sources.yaml", "loco", address, server.files["loco.tar"], "data/loco", True)
    unpacking, output = tmp_path / "data/.loco.unpacking", tmp_path / "data/loco"
    kill_when(start_fetch(tmp_path, "loco"), lambda: (unpacking / "train/20.png").exists())
    assert unpacking.exists()
    assert not output.exists()
    succeed(start_fetch(tmp_path, "loco"))
    assert contents(output) == members
    assert {path.name for path in output.parent.iterdir()} == {"loco", ".loco.lock"}
    assert len(server.requests) == 1  # the archive was whole already


def copy_of_project(folder: Path, server: Server) -> None:
    """What DVC sees of this project, with sources that the local server has."""
    server.files["loco.tar.xz"] = tar("w:xz", PNG | {"large.png": CONTENT})
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, folder / name)
    address = server.address("drip/loco.tar.xz")
    write_sources(folder / "config/sources.yaml", "loco", address, server.files["loco.tar.xz"], "data/loco", True)


def start_stage(folder: Path) -> subprocess.Popen[str]:
    """The command that Snakemake gives."""
    return start(folder, "dfsc", "fetch", "loco", "--dvc")


def test_dvc_runs_a_stage_once_and_restores_it(server: Server, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    copy_of_project(tmp_path, server)
    succeed(start_stage(tmp_path), start_stage(tmp_path))
    assert len(server.requests) == 1
    assert contents(tmp_path / "data/loco") == PNG | {"large.png": CONTENT}
    assert (tmp_path / "data/loco/large.png").stat().st_nlink == 2  # not twice on disk
    shutil.rmtree(tmp_path / "data")
    server.files.clear()
    succeed(start_stage(tmp_path))  # from the cache, with nothing left to download
    assert contents(tmp_path / "data/loco") == PNG | {"large.png": CONTENT}
    lock = (tmp_path / "dvc.lock").read_text()
    (tmp_path / "data/loco/large.png").unlink()
    process = start_stage(tmp_path)
    assert "large.png: changed, removed or added" in process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert (tmp_path / "dvc.lock").read_text() == lock
    status = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "data" not in status.stdout


def test_dvc_needs_no_git_and_deletes_nothing(server: Server, tmp_path: Path) -> None:
    copy_of_project(tmp_path, server)
    (tmp_path / "data/loco").mkdir(parents=True)
    (tmp_path / "data/loco/mine.png").write_bytes(b"mine")
    process = start_stage(tmp_path)
    assert "was not fetched" in process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert (tmp_path / "data/loco/mine.png").read_bytes() == b"mine"
    shutil.rmtree(tmp_path / "data/loco")
    succeed(start_stage(tmp_path))
    assert contents(tmp_path / "data/loco") == PNG | {"large.png": CONTENT}
