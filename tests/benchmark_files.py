"""Small benchmark files in the exact published formats."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from hide_utils import load_benchmark

SUFFIX = "\nAnswer with the option's letter from the given choices directly."
CLIMBING = ["../secret.png", "/etc/secret.png", "imgs/../../secret.png", "imgs\\..\\..\\secret.png", "C:\\secret.png"]


def encoded(value: int, size: tuple[int, int] = (6, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value % 256, value // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def noise(seed: int, side: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


GLOVE = {
    "target_object": ["glove"], "bbox": [[564, 142, 155, 157]], "question": "What is the material of the glove?",
    "options": ["The material of the glove is rubber.", "It is cotton.", "It is kevlar.", "It is leather."],
}  # fmt: skip
DOG = {
    "target_object": ["dog", "scooter"], "bbox": [[10, 20, 30, 40], [1.5, 2, 3, 4]],
    "question": "Is the dog on the left or right side of the scooter?",
    "options": ["The dog is on the left side of the scooter.", "The dog is on the right side of the scooter."],
}  # fmt: skip
LINES = [
    {"image": "direct_attributes/sa_4690.jpg", "text": "What is the material of the glove?\n(A) rubber\n(B) cotton\n"
     "(C) kevlar\n(D) leather" + SUFFIX, "category": "direct_attributes", "question_id": 0, "label": "A"},
    {"image": "relative_position/sa_7.jpg", "text": "Is the dog left or right?\n(A) right\n(B) left" + SUFFIX,
     "category": "relative_position", "question_id": 1, "label": "B"},
]  # fmt: skip


def write_vstar(parent: Path) -> Path:
    """V*Bench of two pictures, as published."""
    folder = parent / "vstar_bench"
    for name, note, value in (("direct_attributes/sa_4690", GLOVE, 1), ("relative_position/sa_7", DOG, 2)):
        write_json(folder / f"{name}.json", note)
        (folder / f"{name}.jpg").write_bytes(encoded(value, (800, 400)))  # which holds the boxes
    (folder / "test_questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return folder


def hrbench_rows(n_pictures: int = 2, picture=encoded) -> list[dict]:
    options = ["red", '37"B', "a\tb", "None of the above"]
    return [
        {
            "index": 4 * i + cycle, "question": f'What does "sign {i}"\nsay?' if i % 2 else "What color?",
            "answer": "ABCD"[cycle], "category": "cross" if i % 2 else "single",
            **{"ABCD"[j]: options[(j - cycle) % 4] for j in range(4)},
            "cycle_category": f"cycle_{cycle}", "image": base64.b64encode(picture(i)).decode(),
        }
        for i in range(n_pictures) for cycle in range(4)
    ]  # fmt: skip


def write_tsv(path, table):
    pd.DataFrame(table).to_csv(path, sep="\t", index=False)
    return path


def authors_row(i: int, image: str = "vstar_bench/direct_attributes/sa_4690.jpg", **rest) -> dict:
    question = "What is the material of the glove?\n(A) rubber\n(B) cotton\nwool\n(C) kevlar\n(D) leather"
    return {
        "id": str(i),
        "question": question,
        "labels": "C",
        "image_path": image,
        "category": "direct_attributes",
    } | rest


# A row of MME-RealWorld as it is published.
BOOK = {
    "Question_id": "perception/ocr_cc/book_map_poster/0913", "Image": "TRAIN_14456.png",
    "Text": "What dish does the chart correspond to?", "Question Type": "Multiple Choice",
    "Answer choices": ["(A) Nutty Ribs", "(B) Haw (sweet)", "(C)Chili", "(D) Inasal", "(E) Not in the image."],
    "Ground truth": "B", "Category": "book_map_poster", "Subtask": "OCR with Complex Context", "Task": "Perception",
}  # fmt: skip


def listed(tmp_path, *rows, size=(6, 4), **knobs):
    """Samples of a list in the authors' format, one for each change of a row."""
    (tmp_path / "p.png").write_bytes(encoded(3, size))
    given = [authors_row(i, "p.png", **{"labels": "A"} | row) for i, row in enumerate(rows)]
    return load_benchmark(write_json(tmp_path / "b.json", given), **knobs)


def base64_png(value: int, size=(6, 4)) -> str:
    return base64.b64encode(encoded(value, size)).decode()


def stored_picture(value: int, size=(6, 4)) -> dict:
    return {"bytes": encoded(value, size), "path": f"{value}.jpg"}


def write_parquet(path, rows: list[dict]):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def treebench_row(index: int, **rest) -> dict:
    options = ["red", "blue", "green", "white"]
    return {
        "index": index, "question": "What color is the van?", "answer": "B", "category": "Perception/Attributes",
        "multi-choice options": "\n".join(f"{a}. {b}" for a, b in zip("ABCD", options, strict=True)),
        **dict(zip("ABCD", options, strict=True)), "E": None, "l2-category": "Attributes",
        "target_instances": "[[10, 20, 30, 45], [40, 5, 60, 20]]", "image": base64_png(index, (80, 50)),
    } | rest  # fmt: skip


def zoombench_row(number: int, **rest) -> dict:
    return {
        "id": str(number), "query": "What is on the cup?\nA. a cat\nB. a dog\nC. a star\nD. none",
        "response": "C", "question_type": "mcq", "bbox": [4.0, 2.0, 20.0, 12.0],
        "image": stored_picture(number, (40, 20)), "crop_image": stored_picture(number),
    } | rest  # fmt: skip


def cv_bench_row(idx: int, source: str = "COCO", **rest) -> dict:
    kind = ("3D", "Depth") if source == "Omni3D" else ("2D", "Count")
    return {
        "idx": idx, "type": kind[0], "task": kind[1], "image": stored_picture(idx), "question": "How many cups?",
        "choices": ["0", "1", "2"], "answer": "(C)", "prompt": "How many cups? ...\n(A) 0\n(B) 1\n(C) 2",
        "filename": f"img/{idx}.png", "source": source, "source_dataset": f"{source} Test", "source_filename": "x.jpg",
        "target_class": None, "target_size": None, "bbox": None,
    } | rest  # fmt: skip


def write_hrscene(folder, task: str, sides, needles: int = 1, cell: int = 10):
    """HRScene's diagnosis with cells of some pixels, a configuration a folder; each needle has a color of its own."""
    for grid in sides:
        rows = []
        for needle in range(needles):
            for row in range(grid):
                for column in range(grid):
                    asked = {"question": f"Is it {needle}?", "answer": ["yes"] * 6 + ["no"] * 4}
                    said = {"caption": f"Picture {needle}.", "answer": f"row: {row + 1}, col: {column + 1}"}
                    size, value = (cell * grid, cell * grid), 256 * needle + 16 * row + column
                    own = asked if task == "whitebackground" else said
                    name = f"{needle}_{row}_{column}" if grid > 1 else needle
                    rows.append({"id": name, "image": stored_picture(value, size), **own})
        write_parquet(folder / f"{task}_{grid}x{grid}" / "test-00000-of-00001.parquet", rows)
