"""Make thumbnails of all pictures in a directory: python examples/thumbnails.py [DIRECTORY]

Files are read and written by calls that wait, so more of them run at a time than there are cores. Pictures of any format with Pillow,
where it is installed; else only portable pixmaps (PPM), in plain Python. Without a directory it makes itself some.
"""

import os
import sys
import tempfile
from concurrent.futures import as_completed
from pathlib import Path

import smarm

SIZE = 64


def shrink_ppm(source: Path, target: Path) -> tuple[int, int]:
    """Write a smaller copy of a binary PPM: every nth pixel of every nth line."""
    kind, sizes, _, pixels = source.read_bytes().split(b"\n", 3)
    if kind != b"P6":
        raise ValueError(f"{source.name} is no binary PPM")
    width, height = map(int, sizes.split())
    step = max(1, max(width, height) // SIZE)
    lines = [pixels[3 * width * y : 3 * width * (y + 1)] for y in range(0, height, step)]
    small = [b"".join(line[3 * x : 3 * x + 3] for x in range(0, width, step)) for line in lines]
    size = len(small[0]) // 3, len(small)
    target.write_bytes(b"P6\n%d %d\n255\n" % size + b"".join(small))
    return size


def shrink(source: str, directory: str) -> tuple[int, int]:
    """Make one thumbnail, return its size."""
    target = Path(directory, Path(source).name)
    try:
        from PIL import Image
    except ImportError:
        return shrink_ppm(Path(source), target)
    with Image.open(source) as picture:
        picture.thumbnail((SIZE, SIZE))
        picture.save(target)
        width, height = picture.size
        return width, height


def make_pictures(directory: str) -> None:
    for number in range(6):
        width, height = 320 + 40 * number, 240
        pixels = bytes((x * y * (number + 1)) % 256 for y in range(height) for x in range(width) for _ in range(3))
        Path(directory, f"picture{number}.ppm").write_bytes(b"P6\n%d %d\n255\n" % (width, height) + pixels)


def main(directory: str) -> None:
    thumbnails = os.path.join(directory, "thumbnails")
    os.makedirs(thumbnails, exist_ok=True)
    pictures = [path for path in sorted(Path(directory).iterdir()) if path.is_file()]
    with smarm.Executor(workers=8) as executor:
        calls = {executor.submit(shrink, os.fspath(path), thumbnails): path.name for path in pictures}
        for call in as_completed(calls):
            error = call.exception()
            print(f"{calls[call]}: {error}" if error else "{}: {} x {}".format(calls[call], *call.result()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as directory:
            make_pictures(directory)
            main(directory)
