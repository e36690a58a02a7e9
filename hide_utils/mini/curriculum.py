"""What the miniature is taught, stage by stage, one skill at a time in the order that learning needed.

- dense: see what each visual token covers.
- captions: name it.
- look_up: look up what is named.
- relations: compare places.
- mixture: everything together, with second and larger pictures.
- letters: answer in letters.
- order: the same where the options of relations are shuffled too.
- finish: everything again.
- zoom: close-ups and cut-outs behind large or blurred pictures.
- apart: compare places in larger pictures.
"""

from hide_utils.mini.batches import Stage

LOOK_UP = {"caption": 0.25, "locate": 0.15, "search": 0.3, "attribute": 0.3}
RELATIONS = {"relation": 0.7, "caption": 0.1, "search": 0.1, "attribute": 0.1}
MIXTURE = {
    "caption": 0.07, "locate": 0.08, "search": 0.2,
    "attribute": 0.1, "attribute_choice": 0.25, "relation": 0.08, "relation_choice": 0.22,
}  # fmt: skip
LETTERS = {"attribute_choice": 0.5, "relation_choice": 0.4, "search": 0.1}
ORDER = {"relation_choice": 0.6, "attribute_choice": 0.25, "relation": 0.1, "search": 0.05}
LARGE = ((192, 0.3, 1), (256, 0.42, 1), (448, 0.2, 3), (640, 0.06, 6), (896, 0.02, 12))
ZOOM = {
    "caption": 0.06, "locate": 0.08, "search": 0.26,
    "attribute": 0.06, "attribute_choice": 0.26, "relation": 0.06, "relation_choice": 0.22,
}  # fmt: skip
APART = {
    "caption": 0.04, "locate": 0.05, "search": 0.2,
    "attribute_choice": 0.17, "relation": 0.12, "relation_choice": 0.42,
}  # fmt: skip
FIRST = ((192, 0.2, 1), (320, 0.35, 2), (448, 0.25, 3), (640, 0.12, 5), (896, 0.08, 8))
SMALL = ((192, 0.75, 1), (256, 0.25, 1))
STAGES = (
    Stage("dense", 2400, 2.5e-3, batch=24, vision_lr=1.0, density=2.0, object_size=(28, 64)),
    Stage("captions", 600, 1.5e-3, {"caption": 1.0}, n_turns=2, stop=450),
    Stage("look_up", 900, 1.5e-3, LOOK_UP, sizes=SMALL, stop=600),
    Stage("relations", 800, 1.2e-3, RELATIONS, sizes=SMALL, stop=350),
    Stage(
        "mixture", 2000, 1.2e-3, MIXTURE, apart=0.2, two_pictures=0.35, extraction=0.12, stop=750,
        sizes=LARGE,
    ),
    Stage("letters", 600, 1.2e-3, LETTERS, sizes=SMALL, n_turns=5, stop=350),
    Stage("order", 400, 1.2e-3, ORDER, sizes=SMALL, n_turns=5, natural=0.7),
    Stage(
        "finish", 450, 1.0e-3, MIXTURE, apart=0.2, two_pictures=0.35, extraction=0.08, natural=0.2,
        sizes=LARGE,
    ),
    Stage(
        "zoom", 1000, 1.0e-3, ZOOM, apart=0.1, two_pictures=0.55, extraction=0.04, natural=0.3, zoomed=True,
        sizes=((192, 0.35, 1), (256, 0.4, 1), (448, 0.25, 3)), pair_sizes=FIRST, object_size=(24, 56), accumulate=2,
    ),
    Stage(
        "apart", 500, 8e-4, APART, apart=0.15, two_pictures=0.4, extraction=0.04, natural=0.3, zoomed=True,
        sizes=((256, 0.35, 1), (384, 0.4, 2), (512, 0.25, 4)), pair_sizes=FIRST, object_size=(24, 56), accumulate=2,
    ),
)  # fmt: skip
