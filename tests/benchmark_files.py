"""Small benchmark files in the exact published formats."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
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
