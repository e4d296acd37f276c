"""The page of results at LOCO's size: time to build, weight, time to the first screen and to an image's first card.

python -m benchmarks.page --write; about ten minutes on two cores and 1 GB of temporary files. 1,568 test images of
1700 x 1000 pixels in LOCO's five categories, 7 methods, 3 seeds; maps of 56 x 56 cells by a formula. Needs Chromium.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.results import RESULTS, keep
from benchmarks.timing import CPU, circumstances, seconds
from dfsc.data.synthetic.photographs import PHOTOGRAPHS, photograph
from dfsc.report.page.write import write_page
from dfsc.settings.grid import Grid

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import Browser, running_browser
from support.page_grid import make_benchmark
from support.small_sets import save_as_it_is, write_defects

SIZE = 1700, 1000
CELLS = 56
CATEGORIES = {  # test images: good, logical, structural
    "breakfast_box": (102, 83, 90),
    "juice_bottle": (94, 142, 94),
    "pushpins": (138, 91, 81),
    "screw_bag": (122, 137, 82),
    "splicing_connectors": (119, 108, 85),
}
GRID = Grid.from_config(
    {
        "benchmark": "paged",
        "dataset": {"source": "folder", "categories": list(CATEGORIES)},
        "training": {"sizes": ["S"], "seeds": [0, 1, 2]},
        "dfsc": {"quantiles": [0.9, 0.95, 0.98, 0.99, 0.995, 0.999], "headline_quantile": 0.99, "ablations": []},
    }
)
WAITS = {  # what is waited for -> JavaScript that says whether it is there
    "answer": "return document.querySelector('#answer h1')?.getClientRects().length > 0",
    "forest plot": "return document.querySelectorAll('#forest .trace').length > 2",
    "first card": """const card = document.querySelector('.card'), canvas = card?.querySelector('canvas');
        const images = [...(card?.querySelectorAll('img') ?? [])];
        return Boolean(canvas) && canvas.height !== 150 && images.every(one => one.complete)""",
}


def make_images(dataset: Path) -> None:
    """Photographs at LOCO's size and number; files repeat one another as links, which costs the page the same."""
    random = np.random.default_rng(0)
    names = list(PHOTOGRAPHS)
    for number, (category, counts) in enumerate(CATEGORIES.items()):
        folder = dataset / category
        picture = photograph(names[(5 * number) % len(names)]).resize(SIZE, Image.Resampling.BICUBIC)
        noisy = np.asarray(picture, np.float32) + random.normal(0, 2.5, (SIZE[1], SIZE[0], 3))  # as a camera's
        save_as_it_is(folder / "one.png", noisy.clip(0, 255).astype(np.uint8))
        for value in (255, 254):
            mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
            mask[300:500, 700:1100] = value
            save_as_it_is(folder / f"{value}.png", mask)
        for kind, count in zip(("good", "logical_anomalies", "structural_anomalies"), counts, strict=True):
            value = 254 if kind == "structural_anomalies" else 255
            for image in range(count):
                links = [(folder / f"test/{kind}/{image:03}.png", folder / "one.png")]
                if kind != "good":
                    links.append((folder / f"ground_truth/{kind}/{image:03}/000.png", folder / f"{value}.png"))
                for link, target in links:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.hardlink_to(target)
        for file in folder.glob("*.png"):
            file.unlink()
        write_defects(folder)


def seconds_until(browser: Browser, address: str, what: str) -> float:
    """Wall time from asking for an address until something of it is there."""
    browser.open("about:blank")
    began = time.perf_counter()
    browser.open(address)
    while not browser.run(WAITS[what]):
        time.sleep(0.02)
    return time.perf_counter() - began


def measure(root: Path, workers: int, repeats: int) -> str:
    """The table."""
    dataset, results = root / "data", root / "results/paged"
    make_images(dataset)
    make_benchmark(dataset, results, GRID, cells=CELLS)
    began = time.process_time()
    built = seconds(lambda: write_page(results, dataset, results / "page", workers=workers))
    worked = time.process_time() - began
    parts = {name: _megabytes(results / "page" / name) for name in ("", "images", "maps", "data", "assets")}
    rows = [
        ("time to build", f"{built:.0f} s, with {worked:.0f} s of processor time"),
        ("weight", f"{parts['']:.0f} MB"),
    ]
    rows += [(f"of it {name}", f"{size:.1f} MB") for name, size in parts.items() if name]
    with running_browser(root) as browser:
        browser.resize(1400, 1000)
        for what, view in (("answer", "answer"), ("forest plot", "answer"), ("first card", "images")):
            times = [seconds_until(browser, f"{(results / 'page/index.html').as_uri()}#view={view}", what)
                     for _ in range(repeats)]  # fmt: skip
            rows.append((f"opened until the {what} is seen", f"{np.median(times):.2f} s (at most {max(times):.2f})"))
    number = sum(map(sum, CATEGORIES.values()))
    head = f"{number} images of {SIZE[0]} x {SIZE[1]}, {len(GRID.methods)} methods, {len(GRID.seeds)} seeds.\n\n"
    return head + "| what | measured |\n| --- | --- |\n" + "".join(f"| {what} | {said} |\n" for what, said in rows)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to build and keep all; a temporary folder if not said.")
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for the page")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = f"{circumstances(CPU)}\n\n{measure(chosen.folder or Path(folder), chosen.workers, chosen.repeats)}"
    print(text)
    if chosen.write:
        keep("page", text)


if __name__ == "__main__":
    main()
