"""ImageNet's folders, made small: classes as torchvision numbers them, the field's own subset."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from robench.base.errors import ConfigError, DataError
from robench_data.imagenet import ImageNet

WNIDS = ("n01440764", "n01443537", "n02123045")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pictures to judge on of each class, four to train on, red by class, green by number."""
    for part, count in (("val", 2), ("train", 4)):
        for place, wnid in enumerate(WNIDS):
            for number in range(count):
                path = tmp_path / "imagenet" / part / wnid / f"{part}_{place}{number}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (300, 260), (40 * place, 50 * number, 0)).save(path)
    return tmp_path


def test_all_of_val_and_nothing_to_train_on(root: Path) -> None:
    data = ImageNet().load(root)
    assert (data.classes, data.shape, data.has_training) == (WNIDS, (3, 224, 224), False)
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.images[:, 0, 9, 9].sub(40 * data.test.labels).abs().max() < 3
    assert len(ImageNet().files(root)) == 6


def test_training_images_are_drawn_in_proportion(root: Path) -> None:
    drawn = ImageNet(train_images=6)
    assert torch.bincount(drawn.load(root).train.labels).tolist() == [2, 2, 2]
    assert len(drawn.files(root)) == 12
    assert ImageNet(train_images=6, seed=1).files(root) != drawn.files(root)
    assert len(ImageNet(train_images=None).load(root).train) == 12


def test_inks_are_mixed(root: Path) -> None:
    path = root / "imagenet" / "val" / WNIDS[1] / "val_10.JPEG"
    Image.new("CMYK", (300, 260), (0, 0, 0, 55)).save(path)
    image = ImageNet().load(root).test.images[2]
    assert image.float().sub(200).abs().max() < 3


def package(folder: Path, names: list[str]) -> None:
    """robustbench, as far as the list goes."""
    (folder / "robustbench" / "helper_files").mkdir(parents=True)
    listed = folder / "robustbench" / "helper_files" / "imagenet_test_image_ids.txt"
    listed.write_text("\n".join(names))
    about = folder / "robustbench-1.1.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: robustbench\nVersion: 1.1.1\n")


def test_the_subset_of_robustbench_is_its_packages_list(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{WNIDS[2]}/val_21.JPEG", f"{WNIDS[0]}/val_00.JPEG"]
    package(tmp_path / "site", names)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    dataset = ImageNet(subset="robustbench")
    data = dataset.load(root)
    assert data.test.labels.tolist() == [2, 0]
    assert len(data.classes) == 3
    assert [f"{p.parent.name}/{p.name}" for p in dataset.files(root)] == names
    assert "robustbench" not in sys.modules
    (root / "imagenet" / "val" / names[1]).unlink()
    with pytest.raises(
        DataError, match=r"expected the 2 pictures .* got 1 fewer, n01440764/val_00"
    ):
        dataset.load(root)


def test_the_subset_without_the_package_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConfigError, match="expected the package robustbench"):
        ImageNet(subset="robustbench").load(root)


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"below .*elsewhere/imagenet/val, got none; put"):
        ImageNet().load(tmp_path / "elsewhere")
    assert ImageNet().files(tmp_path / "elsewhere") == []
    (root / "imagenet" / "val" / "lost+found").mkdir()
    assert len(ImageNet().load(root).classes) == 3, "no class of WordNet"
    (root / "imagenet" / "val" / "n01530575").mkdir()
    with pytest.raises(DataError, match="got none in n01530575"):
        ImageNet().load(root)


def test_train_and_val_have_the_same_classes(root: Path) -> None:
    path = root / "imagenet" / "train" / "n01530575" / "x.JPEG"
    path.parent.mkdir()
    Image.new("RGB", (300, 260)).save(path)
    with pytest.raises(DataError, match="got n01530575 to train on alone"):
        ImageNet(train_images=None).load(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"train_images": -1}, "train_images >= 0, or null"), ({"seed": -1}, "seed >= 0, got -1")],
)
def test_wrong_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageNet(**options)
