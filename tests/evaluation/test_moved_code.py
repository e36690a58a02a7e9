"""Rows outlive a new arrangement of the package's files."""

from hide_utils.evaluation import keys


def test_a_function_of_this_package_may_move_to_another_file(monkeypatch):
    """Where it stands says nothing of what it computes, so that rows outlive a new arrangement of files."""

    class Spec:
        def __init__(self, side):
            self.side = side

    keys_of = []
    for home in ("hide_utils.scenes.world", "hide_utils.scenes.elsewhere", "somebody.else"):
        monkeypatch.setattr(Spec, "__module__", home)
        keys_of.append([keys.described(Spec(side)) for side in (1, 2)])
    ours, moved, others = keys_of
    assert ours == moved != others and ours[0] != ours[1]
