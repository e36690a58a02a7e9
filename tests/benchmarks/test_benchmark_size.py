"""HR-Bench 8K's table is gigabytes: loading it and going through its pictures stays far below one gigabyte."""

import base64
import io
import json
import subprocess
import sys

import pytest
from PIL import Image

PICTURES, CELL_BYTES = 12, 7_500_000  # encoded; the published table's pictures are about as large
MEASURE = """
import json, pathlib, sys
from hide_utils import load_benchmark

def peak():  # of this process alone: getrusage would count the parent's before exec
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

start = peak()
samples = load_benchmark(sys.argv[1])
loaded = peak()
sizes = [sample.image.size for sample in samples[::4]]
print(json.dumps({"start": start, "loaded": loaded, "end": peak(), "n": len(samples), "sizes": sizes}))
"""


def published_cell(size_wh) -> str:
    """A JPEG padded behind its end, which readers skip: as many bytes as a photograph of that size, quickly made."""
    stream = io.BytesIO()
    Image.radial_gradient("L").resize(size_wh).convert("RGB").save(stream, "JPEG", quality=50)
    return base64.b64encode(stream.getvalue().ljust(CELL_BYTES, b"\0")).decode()


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory of a process is read from /proc")
def test_a_table_of_half_a_gigabyte_is_streamed(tmp_path):
    path = tmp_path / "hr_bench_8k.tsv"
    with path.open("w") as stream:
        stream.write("index\tquestion\tanswer\tcategory\tA\tB\tC\tD\tcycle_category\timage\n")
        for i in range(PICTURES):
            cell = published_cell((7680, 4320 + i) if i < 2 else (640, 480 + i))
            for cycle in range(4):
                fixed = f"{4 * i + cycle}\tWhat?\t{'ABCD'[cycle]}\tsingle\ta\tb\tc\td\t{cycle}\t"
                stream.write(fixed + cell + "\n")
    assert path.stat().st_size > 450e6
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    path.unlink()
    found = json.loads(done.stdout)
    assert found["n"] == 4 * PICTURES and found["sizes"][:3] == [[7680, 4320], [7680, 4321], [640, 482]]
    assert found["loaded"] - found["start"] < 80e6  # a few rows of 10 MB
    assert found["end"] < 1e9 and found["end"] - found["start"] < 500e6  # and a few copies of 33 megapixels
