"""Where and how exactly torch computes; all of it but compiling is tested without a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn.modules.module import register_module_forward_pre_hook

from dfsc.inference.score import anomaly_maps
from dfsc.model.backbone import load_backbone
from dfsc.settings.building import build
from dfsc.settings.leaves import Precision
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from dfsc.training.calibration import calibrate
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.device import computing
from dfsc.training.loop import LoopOptions, run_steps
from dfsc.training.student import ModelLearner, compiles
from dfsc.training.teacher import pretrain_teacher
from support.learners import learner_of
from support.prepared import TEACHER, TRAINING, Prepared

CLAIM = (
    "import sys; from dfsc.training.device import claimed_gpu; print(claimed_gpu(2, sys.argv[1]), flush=True); input()"
)


def test_each_process_takes_a_gpu_of_its_own_until_it_ends(tmp_path: Path) -> None:
    processes: list[subprocess.Popen[str]] = []

    def claim() -> str:
        command = [sys.executable, "-c", CLAIM, str(tmp_path)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        output = processes[-1].stdout
        assert output is not None
        return output.readline().strip()

    try:
        assert [claim(), claim()] == ["0", "1"]
        processes[1].kill()
        processes[1].wait()
        assert claim() == "1"
        assert [claim(), claim(), claim()] == ["0", "1", "0"], "none is free: they are shared evenly"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def flags() -> set[bool]:
    """Whether matrix products and convolutions may compute in TF32."""
    return {torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32}


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_a_precision_is_what_it_is_called(precision: Precision) -> None:
    for device in ("cpu", "cuda"):
        context = computing(torch.device(device), precision)
        assert flags() == {precision != "float32"}
        half = device == "cuda" and precision in ("bfloat16", "float16")
        assert isinstance(context, torch.autocast) == half
        if isinstance(context, torch.autocast):
            assert (context.device, context.fast_dtype) == ("cuda", getattr(torch, precision))


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_every_network_computes_in_the_precision_asked_for(
    prepared: Prepared, tmp_path: Path, precision: Precision
) -> None:
    seen: set[bool] = set()

    def others() -> None:
        """As another call in this process may have left it."""
        computing(torch.device("cpu"), "float32" if precision == "tf32" else "tf32")

    device, (backbone, _) = torch.device("cpu"), load_backbone("resnet18", None, 0)
    hook = register_module_forward_pre_hook(lambda *call: seen.update(flags()))
    try:
        others()
        settings = build(TeacherSettings, {**TEACHER, "steps": 1, "precision": precision})
        images = prepared.pretraining_images()
        pretrain_teacher(settings, images, backbone, device, Checkpoint(tmp_path, "teacher"), LoopOptions())
        others()
        learner = learner_of(prepared, precision=precision, steps=1)
        others()
        run_steps(learner, 1, Checkpoint(tmp_path, "model"), LoopOptions())
        others()
        anomaly_maps(learner.model, learner.images.numpy(), device, precision)
    finally:
        hook.remove()
    assert seen == {precision == "tf32"}


def test_a_model_is_calibrated_in_float32(prepared: Prepared) -> None:
    learner, seen = learner_of(prepared, precision="tf32"), set[bool]()
    computing(torch.device("cpu"), "tf32")
    hook = register_module_forward_pre_hook(lambda *call: seen.update(flags()))
    try:
        calibrate(learner.model, learner.images.numpy(), torch.device("cpu"))
    finally:
        hook.remove()
    assert seen == {False}


@pytest.mark.parametrize("chosen", [True, False])
def test_a_step_is_compiled_on_cuda_where_asked_for(prepared: Prepared, chosen: bool) -> None:
    on_cpu = learner_of(prepared, compiled=chosen)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = on_cpu.model.teacher.state_dict()
    learner = ModelLearner(on_cpu.settings, on_cpu.images.numpy(), on_cpu.penalty, teacher, device)
    counters.clear()
    learner.update(0, learner.draw(0))
    assert (counters["stats"]["unique_graphs"] > 0) == (chosen and device.type == "cuda")


@pytest.mark.parametrize(
    ("device", "asked", "found"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_losses_are_compiled_on_a_gpu_alone_and_only_if_asked(device: str, asked: bool, found: bool) -> None:
    settings = build(TrainingSettings, {**TRAINING, "compiled": asked})
    assert compiles(settings, torch.device(device)) is found
