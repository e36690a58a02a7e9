"""What the page on benchmarks of one's own prints of a result is what its example prints."""

from test_docs import blocks, ran


def test_example_of_a_summary_prints_what_the_page_says(capsys):
    heading = "To an accuracy with its interval"
    table = ran("docs/own_benchmarks.md", heading)["table"].query("method == 'HiDe(layer=5)'")
    (printed,) = [text for under, text in blocks("docs/own_benchmarks.md", "text") if under == heading]
    assert capsys.readouterr().out == printed and f" {len(table)}       {table['correct'].mean():.1f} " in printed
