# SPDX-License-Identifier: MIT
"""Computes the Mandelbrot set in tiles, with numpy, on the nodes of a channel, and
writes a PNG.

    understudy-broker & understudy-node &
    python mandelbrot.py mandelbrot.png

numpy is named in packages=: each node installs it for these jobs alone. This machine
needs no numpy: it only puts the tiles together.
"""

import argparse
import struct
import zlib

from understudy.decorators import understudy

LEFT, RIGHT, TOP, BOTTOM = -2.2, 0.8, -1.0, 1.0


@understudy(packages=["numpy"])
def tile(first_row, rows, width, height, depth):
    """The colours of some rows of the picture, three bytes a pixel."""
    import numpy as np

    y = np.linspace(TOP, BOTTOM, height)[first_row : first_row + rows]
    x = np.linspace(LEFT, RIGHT, width)
    c = x[np.newaxis, :] + 1j * y[:, np.newaxis]
    z = np.zeros_like(c)
    escape = np.zeros(c.shape)
    inside = np.ones(c.shape, dtype=bool)
    for step in range(depth):
        z[inside] = z[inside] ** 2 + c[inside]
        out = inside & (np.abs(z) > 8)
        # Smooth: how far beyond the limit it went says where between two steps it was.
        escape[out] = step + 1 - np.log2(np.log(np.abs(z[out])))
        inside &= ~out
    shade = np.sqrt(np.clip(escape / depth, 0, 1))
    waves = [
        0.5 + 0.5 * np.cos(6.3 * (1.4 * shade + shift)) for shift in (0.6, 0.7, 0.85)
    ]
    colours = np.stack(waves, axis=-1) * ~inside[..., np.newaxis]
    print(f"rows {first_row} to {first_row + rows}: {inside.mean():.0%} inside")
    return (colours * 255).astype(np.uint8).tobytes()


def png(width, height, pixels):
    """A PNG file of 8-bit RGB."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    row = 3 * width
    lines = b"".join(b"\0" + pixels[i * row : (i + 1) * row] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", nargs="?", default="mandelbrot.png")
    parser.add_argument("--width", type=int, default=900)
    parser.add_argument("--height", type=int, default=600)
    parser.add_argument("--depth", type=int, default=120, help="steps for each point")
    parser.add_argument("--tiles", type=int, default=12)
    arguments = parser.parse_args()

    width, height, tiles = arguments.width, arguments.height, arguments.tiles
    edges = [height * i // tiles for i in range(tiles + 1)]
    results = [
        tile(first, last - first, width, height, arguments.depth)
        for first, last in zip(edges, edges[1:])
    ]
    for result in results:
        result.result()
        print(result.log)
    pixels = b"".join(result.result() for result in results)
    with open(arguments.file, "wb") as file:
        file.write(png(width, height, pixels))
    print(f"{arguments.file}: {width} x {height}")


if __name__ == "__main__":
    main()
