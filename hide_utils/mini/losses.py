"""What the miniature learns from a batch: names of what its visual tokens cover, and the next token of its texts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase, Qwen3VLForConditionalGeneration

from hide_utils.mini import lessons
from hide_utils.mini.batches import IMAGE_TOKEN, LETTER_WEIGHT
from hide_utils.mini.checkpoint import CELL
from hide_utils.mini.forward import LeanForward, Seen
from hide_utils.scenes.world import NOUNS

Measures = dict[str, tuple[Tensor, Tensor]]  # name -> sum and count
NAMED = ("noun", "color")  # properties that a visual token may lack
DENSE_SHARE = 0.1  # of the dense loss, where texts are learned too


class Losses:
    """Losses of batches on one model.

    Args:
        model: that learns.
        tokenizer: of the model.
        nothing: embeddings ``(hidden, 2)`` of "no noun" and "no color".
    """

    def __init__(
        self, model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, nothing: torch.nn.Parameter
    ) -> None:
        self.model, self.nothing, self.lean = model, nothing, LeanForward(model)
        properties = {
            "noun": list(NOUNS), "color": lessons.COLOR_NAMES, "column": lessons.COLUMNS, "row": lessons.ROWS
        }  # fmt: skip

        def tokens(words: list[str]) -> Tensor:
            return torch.tensor([tokenizer(word).input_ids[0] for word in words], device=model.device)

        self.words = {name: tokens([f" {word}" for word in words]) for name, words in properties.items()}
        self.letters = tokens(list("ABCD"))
        self.image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)

    def __call__(self, batch: dict[str, Tensor]) -> tuple[Tensor, Measures]:
        """Loss of a batch of `draw_batch`, as tensors, with measures of how well it is answered."""
        if "ids" not in batch:
            loss, measures = self.dense(self.lean.see(batch["image"]), batch["dense"])
            return loss, measures
        pictures = [batch[name] for name in ("image", "second") if name in batch]
        kind = ("text", "one", "two")[len(pictures)]
        hidden, seen = self.lean(batch["ids"].long(), pictures, self._starts(batch, pictures))
        loss, measures = self.text(hidden, batch["ids"].long(), batch["weights"], kind, batch.get("image"))
        if kind == "one" and "dense" in batch:
            dense, more = self.dense(seen[0], batch["dense"])
            loss, measures = loss + DENSE_SHARE * dense, measures | more
        return loss, measures

    def _starts(self, batch: dict[str, Tensor], pictures: list[Tensor]) -> list[int]:
        """Where the tokens of each picture begin; of the second, behind the first's and its two marks."""
        if not pictures:
            return []
        start = int((batch["ids"][0] == self.image_id).int().argmax())
        h, w = pictures[0].shape[1:3]
        return [start, start + (h // CELL) * (w // CELL) + 2][: len(pictures)]

    def dense(self, seen: Seen, target: Tensor) -> tuple[Tensor, Measures]:
        """Cross-entropy of every visual token against the names of what it covers, over cosine similarities times 20.

        target: of `dense_targets`, for each picture.
        """
        tokens = 20 * F.normalize(seen.tokens.float().flatten(0, 1), dim=-1)
        table, target = self.model.get_input_embeddings().weight.float(), target.reshape(-1, 4)
        loss, measures = tokens.new_zeros(()), {}
        for column, (name, ids) in enumerate(self.words.items()):
            names, wanted = table[ids], target[:, column]
            weights = torch.full(wanted.shape, 0.2, device=wanted.device)
            if name in NAMED:
                names = torch.cat([names, self.nothing[None, :, column].float()])
                weights = torch.where(wanted == len(ids), 0.1, 1.0)
            logits = tokens @ F.normalize(names, dim=-1).T
            each = F.cross_entropy(logits, wanted, reduction="none")
            loss = loss + (2.0 if name == "noun" else 1.0) * (each * weights).sum() / weights.sum()
            if name in NAMED:
                real = wanted < len(ids)
                right = (logits.argmax(-1) == wanted) & real
                measures[f"dense_{name}"] = right.sum().float(), real.sum().float()
        return loss, measures | {"dense_loss": (loss.detach(), torch.ones(()))}

    def text(
        self, hidden: Tensor, ids: Tensor, weights: Tensor, kind: str, image: Tensor | None
    ) -> tuple[Tensor, Measures]:
        """Weighted cross-entropy of the next token. The head runs only where a token is learned.

        kind: of the batch, and ``image`` its first picture: they name the measures.
        """
        wanted = weights[:, 1:] > 0
        logits = self.model.lm_head(hidden[:, :-1][wanted]).float()
        target, w = ids[:, 1:][wanted], weights[:, 1:][wanted]
        loss = (F.cross_entropy(logits, target, reduction="none") * w).sum() / w.sum()
        measures = {f"text_loss_{kind}": (loss.detach(), torch.ones(()))}
        if image is not None:
            letters = (w == LETTER_WEIGHT) & torch.isin(target, self.letters)
            right = (logits.argmax(-1) == target) & letters
            measures[f"letters_{kind}_{image.shape[1]}"] = right.sum().float(), letters.sum().float()
        return loss, measures
