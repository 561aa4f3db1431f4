#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two PNG files of one drawing, made by two programs: size, and colours averaged over blocks of pixels, so that letters set a little
apart do not count, but lines, areas and texts that one of them lacks do. Needs cairocffi, which CairoSVG brings.

    tools/compare_drawings.py A.png B.png [--mean 0.02] [--worst 0.3]
"""
import argparse
import sys

import cairocffi


def read_png(path):
    """Width, height, bytes a row and the pixels, each blue, green, red, alpha, on white."""
    image = cairocffi.ImageSurface.create_from_png(path)
    white = cairocffi.ImageSurface(cairocffi.FORMAT_RGB24, image.get_width(), image.get_height())
    context = cairocffi.Context(white)
    context.set_source_rgb(1, 1, 1)
    context.paint()
    context.set_source_surface(image)
    context.paint()
    white.flush()
    return white.get_width(), white.get_height(), white.get_stride(), bytes(white.get_data())


def blocks(width, height, stride, data, side):
    """The mean colour of each block."""
    out = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = [data[y * stride + 4 * left:y * stride + 4 * min(left + side, width)] for y in range(top, min(top + side, height))]
            count = sum(len(row) for row in rows) / 4
            out.append([sum(sum(row[c::4]) for row in rows) / count / 255 for c in range(3)])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--mean", type=float, default=0.02, help="largest mean difference, of 1")
    parser.add_argument("--worst", type=float, default=0.3, help="largest difference of a block of 16 x 16 pixels")
    args = parser.parse_args()
    one, two = read_png(args.a), read_png(args.b)
    if one[:2] != two[:2]:
        sys.exit(f"{args.a} is {one[0]} x {one[1]}, {args.b} {two[0]} x {two[1]}")
    first, second = blocks(*one, 16), blocks(*two, 16)
    if sum(min(colour) < 0.98 for colour in first) < len(first) / 20:
        sys.exit(f"{args.a}: nothing is drawn")
    differences = [max(abs(x - y) for x, y in zip(a, b)) for a, b in zip(first, second)]
    mean, worst = sum(differences) / len(differences), max(differences)
    print(f"mean {mean:.4f}, worst {worst:.3f}")
    sys.exit(mean > args.mean or worst > args.worst)


if __name__ == "__main__":
    main()
