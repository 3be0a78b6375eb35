"""Which files the census finds, how it deals them out, and how it writes."""

import os
import shutil
from pathlib import Path

import pytest

from examples.census.files import Package, deal, find_packages, printable, source_files, write_whole


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("a = 1\n")


def package(path: str, size: int) -> Package:
    return Package(path=path, is_module=False, files=1, size=size)


def test_folders_are_packages_and_files_are_modules(tmp_path: Path) -> None:
    write(tmp_path, "app/__init__.py", "app/deep/down.py", "tool.py", "notes.txt", "docs/readme.md")

    found = find_packages(tmp_path, exclude=())

    assert [(each.name, each.is_module, each.files, each.size) for each in found] == [
        ("app", False, 2, 12),
        ("tool", True, 1, 6),
    ]


def test_excluded_and_hidden_folders_are_not_entered_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path, "app/a.py", "app/test/b.py", "test/c.py", ".venv/d.py", "app/.hidden/e.py")

    assert [each.files for each in find_packages(tmp_path, exclude={"test"})] == [1]


def test_a_folder_named_like_a_file_is_a_package(tmp_path: Path) -> None:
    write(tmp_path, "odd.py/inside.py")

    (found,) = find_packages(tmp_path, exclude=())

    assert (found.name, found.is_module, found.files) == ("odd", False, 1)


def test_links_are_not_followed_so_a_loop_ends(tmp_path: Path) -> None:
    write(tmp_path, "app/a.py")
    (tmp_path / "app" / "loop").symlink_to(tmp_path / "app", target_is_directory=True)
    (tmp_path / "app" / "again.py").symlink_to(tmp_path / "app" / "a.py")
    (tmp_path / "app" / "nowhere.py").symlink_to(tmp_path / "absent.py")
    (tmp_path / "copy").symlink_to(tmp_path / "app", target_is_directory=True)

    assert [(each.path, each.files) for each in find_packages(tmp_path, exclude=())] == [("app", 1)]


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")

    assert find_packages(tmp_path, exclude=()) == []


def test_a_folder_that_cannot_be_listed_is_yielded_so_that_it_is_counted(tmp_path: Path) -> None:
    write(tmp_path, "app/a.py", "app/sub/b.py")
    files = source_files(tmp_path / "app", exclude=())

    first = next(files)
    shutil.rmtree(tmp_path / "app" / "sub")

    assert [first, *files] == [tmp_path / "app" / "a.py", tmp_path / "app" / "sub"]


def test_a_name_that_is_not_text_is_left_out_at_the_top_and_printable_below(tmp_path: Path) -> None:
    broken = os.fsdecode(b"caf\xe9.py")
    write(tmp_path, broken, f"app/{broken}")

    (found,) = find_packages(tmp_path, exclude=())
    (path,) = source_files(tmp_path / found.path, exclude=())

    assert printable(path, tmp_path) == "app/caf\\udce9.py"


def test_shards_have_nearly_equal_weight_and_lose_nothing() -> None:
    packages = [package(f"p{size}", size) for size in range(1, 41)]

    hands = deal(packages, 4)

    weights = [sum(each.size for each in hand) for hand in hands]
    assert max(weights) - min(weights) <= 2
    assert sorted(each.path for hand in hands for each in hand) == sorted(each.path for each in packages)


def test_dealing_depends_on_the_packages_and_not_on_their_order() -> None:
    packages = [package(name, 5) for name in "abcdefg"]

    assert deal(packages, 3) == deal(packages[::-1], 3)


def test_dealing_nothing_gives_empty_hands() -> None:
    assert deal([], 3) == [[], [], []]


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"

    write_whole(page, "old")
    write_whole(page, "né\n")

    assert page.read_text(encoding="utf-8") == "né\n"
    assert list(page.parent.iterdir()) == [page]
    assert page.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_whole(page, "old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(page, "\udce9")

    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]
