"""All recipes of the story, and which of them the options of the command ask for."""

from __future__ import annotations

from .digits import Pair, Recipe, Relu, Setting, Valley
from .images import WIDTHS, Cifar10, Images, paper

__all__ = ["DIGITS", "Cifar10", "Images", "Pair", "Recipe", "Relu", "Setting", "Valley", "chosen", "paper"]

NORMS = {"normed_cnn": ("group",), "small_cnn": ("none", "group"), "resnet20": ("group", "batch")}  # first: default
DIGITS: dict[str, type[Recipe]] = {"valley": Valley, "relu": Relu, "runaway": Recipe}


def chosen(
    dataset: str = "digits",
    *,
    model: str | None = None,
    norm: str | None = None,
    images: int | None = None,
    side: int | None = None,
    use_paper: bool = False,
    kind: str = "valley",
) -> Recipe:
    """Return the recipe that the options of the command ask for; ``kind`` is a name in ``DIGITS``.

    Raises:
        ValueError: If options do not go together; it says which do.
    """
    options = {"model": model, "norm": norm, "images": images, "side": side}
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if use_paper:
        if model not in (None, "resnet20") or norm not in (None, "batch") or side not in (None, 32):
            raise ValueError("--paper is ResNet-20 with batch norm at 32 x 32; leave out --model, --norm and --side.")
        return paper(images)
    if dataset == "digits":
        if given:
            raise ValueError(
                f"{' and '.join(given)} belong to --dataset cifar10, got digits, whose network is an MLP without norm."
            )
        return DIGITS[kind]()
    model = model or "normed_cnn"
    if model not in NORMS:
        raise ValueError(f"--model must be one of {', '.join(NORMS)}, got {model!r}.")
    norm = norm or NORMS[model][0]
    if norm not in NORMS[model]:
        raise ValueError(f"--model {model} takes --norm {' or '.join(NORMS[model])}, got {norm!r}.")
    if model == "normed_cnn":
        side = side or Images.side
        if side not in (8, 16, 32):
            raise ValueError(f"--model normed_cnn takes --side 8, 16 or 32, got {side}.")
        return Images(images=images or Images.images, side=side)
    if side not in (None, 32):
        raise ValueError(f"--model {model} takes --side 32, got {side}; --model normed_cnn takes 8 and 16 too.")
    return Cifar10(model=model, norm=norm, widths=WIDTHS[model], images=images or Cifar10.images)
