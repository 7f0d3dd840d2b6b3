"""What killed writers left goes after a day; what may still be written stays."""

from __future__ import annotations

import os
from pathlib import Path

from robench.base.alive import now_in
from robench.base.files import work_beside
from robench.base.leftovers import DAY, sweep_leftovers


def test_what_dead_writers_left_is_swept_after_a_day(tmp_path: Path) -> None:
    day = now_in(tmp_path) - DAY
    ages = {".a.x.partial": -9, ".a.x.old": -9, ".a.y.partial": 99, ".b.x.partial": -9, "a": -9}
    for name, age in ages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.utime(tmp_path / name, (day + age, day + age))
    (tmp_path / ".a.z.partial").touch()
    os.utime(tmp_path / ".a.z.partial", (day - 9, day - 9))
    sweep_leftovers(tmp_path, ".a.")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.y.partial", ".b.x.partial", "a"]
    sweep_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.y.partial", "a"]


def test_what_a_link_leads_to_is_nobodys_leftover(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    kept.mkdir()
    folder.mkdir()
    link = folder / ".a.x.partial"
    link.symlink_to(kept)
    old = now_in(folder) - DAY - 9
    os.utime(link, (old, old), follow_symlinks=False)
    sweep_leftovers(folder)
    assert kept.is_dir()
    assert not list(folder.iterdir())


def test_writers_in_containers_of_one_process_number_have_names_of_their_own(
    tmp_path: Path,
) -> None:
    names = {work_beside(tmp_path / "page") for _ in range(9)}
    assert len(names) == 9
    assert all(str(os.getpid()) not in one.name.split(".") for one in names)
