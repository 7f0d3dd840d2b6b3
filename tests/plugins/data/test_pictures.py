from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robench.base.errors import ConfigError, DataError
from robench.plugin.components import Dataset
from robench.run.data_cache import read_data, write_data
from robench_data.caltech101 import Caltech101
from robench_data.image_folder import ImageFolder
from tests.cli.command import command


def picture(path: Path, size: tuple[int, int], colour: object, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def caltech(tmp_path: Path) -> Path:
    folder = tmp_path / "caltech101" / "101_ObjectCategories"
    for place, name in enumerate(("ant", "bass", "camera")):
        for number in range(5 * (place + 1)):
            grey = number == 0
            colour = 120 if grey else (40 * number % 256, 100, 50 * place)
            mode = "L" if grey else "RGB"
            picture(folder / name / f"image_{number:04}.jpg", (300, 280), colour, mode)
    picture(folder / "BACKGROUND_Google" / "image_0001.jpg", (300, 280), (0, 0, 0))
    return tmp_path


def test_caltech_leaves_out_the_background(caltech: Path) -> None:
    data = Caltech101().load(caltech)
    assert data.classes == ("ant", "bass", "camera")
    assert (len(data.train), len(data.test), data.shape) == (24, 6, (3, 224, 224))
    assert torch.bincount(data.test.labels).tolist() == [1, 2, 3]
    assert len(list(Caltech101().files(caltech))) == 30


def test_caltech_splits_by_seed(caltech: Path) -> None:
    hashes = [Caltech101(seed=seed).load(caltech).hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_grey_pictures_become_rgb(caltech: Path) -> None:
    data = Caltech101().load(caltech)
    images = torch.cat([data.train.images, data.test.images]).float().mean((2, 3))
    grey = (images - images.mean(1, keepdim=True)).abs().amax(1) < 0.5
    assert int(grey.sum()) == 3
    assert images[grey].sub(120).abs().max() < 2


def test_caltech_without_files_and_network(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DataError, match=r"101_ObjectCategories, got no files.*ROBENCH_DATA"):
        Caltech101().load(tmp_path)
    assert no_network


def test_the_centre_is_cut_out_of_the_resized_picture(tmp_path: Path) -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 256 - 112 : 256 + 112] = 255
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "x.png")
    data = ImageFolder(path=str(tmp_path), size=128, test_share=0.5).load(tmp_path)
    # Halved, the white stripe is 112 pixels wide in the middle of the 128 that remain.
    row = data.test.images[0, 0, 64]
    assert row[12:116].min() == 255
    assert row[:4].max() == row[-4:].max() == 0


def test_damaged_pictures_are_named(caltech: Path) -> None:
    path = caltech / "caltech101" / "101_ObjectCategories" / "bass" / "image_0003.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"bass/image_0003\.jpg.*replace or remove it"):
        Caltech101().load(caltech)


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"no picture"])
def test_other_formats_are_never_decoded(tmp_path: Path, content: bytes) -> None:
    picture(tmp_path / "a" / "1.png", (8, 8), (1, 2, 3))
    (tmp_path / "a" / "2.png").write_bytes(content)
    with pytest.raises(DataError, match=r"2\.png"):
        ImageFolder(path=str(tmp_path), size=8).load(tmp_path)


def test_a_line_of_pixels_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", (8, 8), (1, 2, 3))
    picture(tmp_path / "a" / "2.png", (3000, 1), (1, 2, 3))
    with pytest.raises(DataError, match=r"2\.png, got \(3000, 1\) pixels"):
        ImageFolder(path=str(tmp_path), size=8).load(tmp_path)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for place, name in enumerate(("cat", "dog")):
            for number in range(count):
                picture(tmp_path / part / name / f"{number}.png", (10, 8), (9 * place, number, 0))
    return tmp_path


def test_train_and_test_folders_are_kept(parts: Path) -> None:
    data = ImageFolder(path=str(parts), size=8).load(parts)
    assert (len(data.train), len(data.test), data.shape) == (6, 4, (3, 8, 8))
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 0, 0, 9, 9, 9]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert len(list(ImageFolder(path=str(parts)).files(parts))) == 10


def test_a_test_class_unknown_in_training_is_refused(parts: Path) -> None:
    picture(parts / "test" / "emu" / "0.png", (8, 8), (0, 0, 0))
    with pytest.raises(DataError, match="got emu to test on alone"):
        ImageFolder(path=str(parts), size=8).load(parts)


def test_an_empty_test_folder_is_refused(parts: Path) -> None:
    for path in (parts / "test").glob("*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match="got cat to train on alone"):
        ImageFolder(path=str(parts), size=8).load(parts)


def test_names_of_any_script_and_links_are_read(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "0.png", (8, 8), (7, 0, 0))
    folder = tmp_path / "my pictures"
    picture(folder / "größe ö" / "a b.png", (8, 8), (1, 0, 0))
    picture(folder / "大" / "1.PNG", (8, 8), (2, 0, 0))
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "大" / "2.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    data = ImageFolder(path=str(folder), size=8, test_share=0.25).load(tmp_path)
    assert data.classes == ("größe ö", "linked", "大")
    images = torch.cat([data.train.images, data.test.images])
    assert sorted(images[:, 0, 0, 0].tolist()) == [1, 2, 7, 7]


def test_resizing_and_cutting_are_two_options(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[8:24, 8:24] = 255
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "x.png")
    options = {"path": str(tmp_path), "test_share": 0.5, "size": 16}
    assert int(ImageFolder(**options, resize=32).load(tmp_path).test.images.min()) == 255
    assert int(ImageFolder(**options).load(tmp_path).test.images.min()) == 0


@pytest.fixture
def many(tmp_path: Path) -> ImageFolder:
    """So many pictures that processes share them."""
    for number in range(201):
        folder = tmp_path / "many" / f"{number % 3}"
        picture(folder / f"{number:03}.png", (8, 8), (number, 255 - number, 9))
    return ImageFolder(path=str(tmp_path / "many"), size=8)


def test_processes_give_the_same_data(many: ImageFolder, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_data(many.source(tmp_path), tmp_path / "out")
    loaded, mapped = many.load(tmp_path), read_data(tmp_path / "out")
    assert loaded.hash == mapped.hash
    assert torch.equal(loaded.train.images, mapped.train.images)


def test_a_damaged_picture_among_many_ends_the_run_in_one_line(
    many: ImageFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(many.path) / "1" / "100.png"
    path.write_bytes(path.read_bytes()[:30])
    options = [f"dataset.image_folder.path={many.path}", "dataset.image_folder.size=8"]
    status, out, err = command(["run", "dataset=image_folder", *options, "threads=1"], capsys)
    assert (status, out) == (2, "")
    assert "1/100.png" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not list((tmp_path / "results").glob("*"))


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_folders_without_pictures_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(DataError, match=f"{name}.*got none; set dataset.image_folder.path"):
        ImageFolder(path=str(tmp_path / name)).load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "set dataset.image_folder.path"),
        ({"path": "x", "size": 0}, "size > 0"),
        ({"path": "x", "size": 8, "resize": 7}, "resize of at least size, 8, got 7"),
        ({"path": "x", "test_share": 1.0}, "0 < test_share < 1"),
        ({"path": "x", "seed": -1}, "seed >= 0"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageFolder(**options)


def test_the_real_piece_of_caltech(data_root: Path) -> None:
    dataset: Dataset = Caltech101()
    data = dataset.load(data_root)
    counts = torch.bincount(torch.cat([data.train.labels, data.test.labels]))
    assert len(data.classes) == 10
    assert counts.aminmax() == (38, 40)
    assert len(data.test) == round(0.2 * int(counts.sum()))
    assert (torch.bincount(data.test.labels) - 0.2 * counts).abs().max() < 1
