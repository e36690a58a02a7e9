"""The README's table of published numbers: each is in the file of peers, with a source, and none is measured here."""

import csv
import re

import pytest

from hide_utils import paths
from hide_utils.report import readme


@pytest.fixture
def told():
    with (paths.PAPER / "peer_numbers.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_peer_has_a_title_an_arxiv_number_and_says_what_was_checked(told):
    assert len(told) > 15 and {row["checked"] for row in told} == {"numbers", "paper"}
    for row in told:
        assert (
            re.fullmatch(r"\d{4}\.\d{5}", row["arxiv"]) and len(row["title"]) > 20 and row["source"] and row["backbone"]
        )
        numbers = [float(row[name]) for name in row if name[:5] in ("vstar", "hr4k_", "hr8k_") and row[name]]
        assert numbers and all(20 < number < 100 for number in numbers)


def test_the_table_has_the_best_checked_row_of_each_method(told):
    head, _, *lines = readme.peers().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) <= 10 and head.count("|") == 8 and all(len(line) == 7 for line in cells)
    marks = [float(line[3]) for line in cells]
    assert marks == sorted(marks, reverse=True) and cells[0][0] == "HiDe" and cells[0][3:6] == ["92.1", "77.5", "75.4"]
    columns = ("vstar_overall", "hr4k_overall", "hr8k_overall")
    whole = [row for row in told if row["checked"] == "numbers" and all(row[name] for name in columns)]
    for line in cells[1:]:
        own = [row for row in whole if row["method"] == line[0]]
        best = max(own, key=lambda row: float(row["vstar_overall"]))
        assert (
            line[3:6] == [best[name] for name in columns] and line[1] == best["backbone"] and best["arxiv"] in line[6]
        )


def test_a_readme_has_the_table_where_its_marks_are():
    marked, parts = "<!-- peers: written -->\nold\n<!-- end of peers -->", {"peers": readme.PARTS["peers"]}
    made = readme.filled(marked, parts=parts)
    assert readme.peers() in made and "old" not in made
    for text in ("no marks", marked + marked):
        with pytest.raises(ValueError, match="marks of 'peers' once"):
            readme.filled(text, parts=parts)
