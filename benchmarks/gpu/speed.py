"""How fast: a training step, several trainings at once, a teacher's images, scoring, a training's start; and goals."""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.profiler import profile

from benchmarks import inference, teacher_target, training_step
from benchmarks.cold_start import Starts
from benchmarks.gpu.report import Figure, at_least, at_most
from benchmarks.gpu.scale import Scale
from benchmarks.timing import Apart, Row, seconds
from dfsc.data.pretraining_images import PretrainingImages, write_index
from dfsc.model.backbone import load_backbone
from dfsc.planning.stand_ins import IMAGES
from dfsc.settings.leaves import Size, TrainingPrecision
from dfsc.settings.teacher import TeacherSettings
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import LoopOptions
from dfsc.training.teacher import pretrain_teacher

STEP_MS = {("S", "tf32"): 3.4, ("S", "bfloat16"): 1.5}  # goals, on a card of an H100's class
TIMES_THE_PLAIN_LOOP = 6
LATENCY_MS = {"S": 1.0}
PUBLISHED = "2.2 ms and 614 images/s on an RTX A6000"  # of S in half precision (Batzner et al. 2024)
WARM_UP = 0.3  # share of a teacher's steps that are not counted


def step(scale: Scale, size: Size, precision: TrainingPrecision) -> Iterator[Figure | Row]:
    """A training step, its images included, against the plain loop with its loader."""
    for row in training_step.measure(size, scale.image_size, precision, scale.device, scale.repeats, scale.workers):
        yield row
        what, took = f"training step of {size} in {precision}", 1000 * statistics.median(row.ours)
        goal = STEP_MS.get((size, precision))
        yield at_most(what, took, goal, " ms", goal=True) if goal else Figure(what, f"{took:.4g} ms")
        yield at_least(f"{what}, against the plain loop", statistics.median(row.ratios), TIMES_THE_PLAIN_LOOP, " times")


def waited_for(scale: Scale, precision: TrainingPrecision) -> Iterator[Figure]:
    """What a training step's time is made of: its images, the processor's launching of its work, and that work."""
    learner = scale.learner(precision=precision, compiled=True)
    drawn, timed = [learner.draw(step) for step in range(IMAGES)], scale.steps_at_once

    def steps(number: int) -> None:
        for step in range(number):
            learner.update(step, drawn[step % len(drawn)])

    def of_each(work: Callable[[int], object]) -> float:
        return 1000 * seconds(lambda: work(timed), scale.device) / timed

    drawing = of_each(lambda number: [learner.draw(step) for step in range(number)])
    steps(scale.steps)  # all is compiled and recorded
    found = {"with its images at hand": of_each(steps), "one thread draws its images in": drawing}
    training = training_step.our_steps(learner, 1_000_000, training_step.WORKERS)
    list(islice(training, scale.steps))
    took = of_each(lambda number: list(islice(training, number)))
    training.close()
    if scale.device.type == "cuda":
        with profile(acc_events=True) as watched:
            seconds(lambda: steps(scale.steps), scale.device)
        work = [event for event in watched.key_averages() if event.device_type.name == "CUDA"]
        busy = sum(event.self_device_time_total for event in work if not event.is_user_annotation)
        found["the card computes for"] = busy / 1000 / scale.steps
    what, goal = f"step of {scale.size} in {precision}", STEP_MS.get((scale.size, precision))
    yield at_most(what, took, goal, " ms", goal=True) if goal else Figure(what, f"{took:.4g} ms")
    for part, value in found.items():
        yield Figure(f"{what}, {part}", f"{value:.4g} ms")


def at_once(scale: Scale, precision: TrainingPrecision) -> Iterator[Figure]:
    """Steps a second of several trainings on one card, all together: whether one leaves room for another."""
    pictures, block = scale.pictures(), scale.steps_at_once
    alone = 0.0
    for number in scale.at_once:
        with ExitStack() as stack, ThreadPoolExecutor(number) as waiting:
            trained = (training_step.trained, scale.size, *pictures, scale.image_size, precision, scale.device)
            trainings = [stack.enter_context(Apart(*trained)) for _ in range(number)]
            for steps in (len(pictures[0]), block):  # the first ones until features are kept, graphs recorded
                took = max(waiting.map(lambda training, steps=steps: training.seconds(steps), trainings))
        pace = number * block / took
        alone = alone or pace
        what = f"steps a second of {number} training{'s' if number > 1 else ''} of {scale.size} at once, {precision}"
        yield Figure(what, f"{pace:.4g}, {pace / alone:.2f} times one's")


def scoring(scale: Scale, size: Size) -> Iterator[Figure | Row]:
    """Scoring of one image, and of batches."""
    rows = inference.measure(size, scale.scored_in, scale.device, scale.repeats_of_scoring)
    for batch, row in zip(inference.BATCHES, rows, strict=True):
        yield row
        what, took = f"{size} in {scale.scored_in}, batch {batch}", statistics.median(row.ours)
        goal = LATENCY_MS.get(size)
        if batch > 1:
            published = f" (published: {PUBLISHED})" if size == "S" else ""
            yield Figure(f"images a second, {what}{published}", f"{batch / took:.4g}")
        elif goal:
            yield at_most(f"latency, {what}", 1000 * took, goal, " ms", goal=True)
        else:
            yield Figure(f"latency, {what}", f"{1000 * took:.4g} ms")


def pretraining(scale: Scale) -> Iterator[Figure | Row]:
    """The target against patches unfolded; images a second of a pretraining, decoding and backbone included."""
    yield from teacher_target.measure(scale.teacher_batch, scale.device, scale.repeats)
    _, pictures = scale.pictures()
    backbone, _ = load_backbone(scale.backbone, None, seed=0)
    for precision in scale.precisions:
        with TemporaryDirectory(dir=scale.folder) as folder:
            write_index(pictures[0].parent, "random", Path(folder, "index"))
            images = PretrainingImages(Path(folder, "index"), pictures[0].parent)
            settings = TeacherSettings(
                size=scale.size, image_size=scale.image_size, backbone=scale.backbone, backbone_weights="random",
                steps=scale.teacher_steps, batch_size=scale.teacher_batch, learning_rate=1e-4, weight_decay=1e-5,
                grey_probability=0.1, normalisation_images=2 * scale.teacher_batch, precision=precision, seed=0,
            )  # fmt: skip
            at: list[float] = []  # when each step was done: so few are all reported
            options = LoopOptions(scale.workers, progress=lambda *told, at=at: at.append(time.monotonic()))
            pretrain_teacher(settings, images, backbone, scale.device, Checkpoint(Path(folder), "teacher"), options)
        counted = at[int(WARM_UP * len(at)) :]
        pace = scale.teacher_batch * (len(counted) - 1) / (counted[-1] - counted[0])
        what = f"images a second, pretraining {scale.size} on {scale.backbone}, batch {scale.teacher_batch}"
        yield Figure(f"{what}, {precision}", f"{pace:.4g}")


def cold_start(scale: Scale) -> Iterator[Figure]:
    """Seconds from a training's start to its first step: as written, and on a GPU compiled, and with what that kept."""
    ways = {"as written": (False, False)}
    if scale.device.type == "cuda":
        ways |= {"compiled, nothing kept": (True, False), "compiled, keeping its code": (True, True)}
    ways["images and code kept"] = (scale.device.type == "cuda", True)
    precision = scale.precisions[0]
    with TemporaryDirectory(dir=scale.folder) as folder:
        starts = Starts(Path(folder), scale.started_with, scale.size, scale.image_size, precision, scale.device)
        for how, (compiled, kept) in ways.items():
            start = starts.one(compiled, kept)
            parts = ", ".join(f"{name} {spent:.1f}" for name, spent in start.seconds.items())
            what = f"start to first step, {scale.started_with} images, {precision}, {how}"
            yield Figure(what, f"{start.total:.1f} s ({parts})")
