#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/vectors: steering vectors as NumPy, repeng (by the package gguf) and the package safetensors write them. Value c of layer l is
l - c / 4, which every type has exactly.

    python tools/make_vector_goldens.py
"""

import os

import gguf
import numpy as np
from safetensors.numpy import save_file

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "golden", "vectors")
LAYERS, WIDTH = 3, 5


def main():
    os.makedirs(FOLDER, exist_ok=True)
    values = (np.arange(LAYERS)[:, None] - np.arange(WIDTH) / 4).astype(np.float32)
    for name, version, dtype, array in (("v1-f4", (1, 0), "<f4", values), ("v2-f8", (2, 0), "<f8", values), ("v3-f2", (3, 0), "<f2", values),
                                        ("one", (1, 0), "<f4", values[2]), ("fortran", (1, 0), "<f4", np.asfortranarray(values)),
                                        ("big", (1, 0), ">f4", values), ("whole", (1, 0), "<i4", values)):
        with open(os.path.join(FOLDER, name + ".npy"), "wb") as file:
            np.lib.format.write_array(file, array.astype(dtype), version=version)
    save_file({"a": values, "b": values[1].astype(np.float16)}, os.path.join(FOLDER, "two.safetensors"))
    # repeng's ControlVector.export_gguf
    writer = gguf.GGUFWriter(os.path.join(FOLDER, "repeng.gguf"), "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", LAYERS - 1)
    for layer in range(1, LAYERS):
        writer.add_tensor(f"direction.{layer}", values[layer])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
