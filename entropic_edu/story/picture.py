"""What the story looks like: road, profile, walkers and collapse on one page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from entropic_edu.figures import plots
from entropic_edu.physics.theory import predict

from .digits import Pair, Recipe, Setting
from .report import by_noise, way


def picture(pairs: Sequence[Pair], recipe: Recipe) -> bytes:
    """Return the first pair as PNG, the profiles of the others behind it; panels that are not there yet stay empty."""
    valley = recipe.kind == "valley"
    size, heights = ((13, 9), (4, 3)) if valley else ((13, 10), (1, 1))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    panels, first = list(figure.subplots(2, 2, height_ratios=heights).flat), pairs[0]
    walkers, narrow, plane, law = panels if valley else (panels[k] for k in (2, 1, 0, 3))
    parts = ((plane, first.road), (narrow, first.profile), (walkers, first.releases), (law, first.complete))
    for ax, ready in parts:
        if not ready:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "not finished yet", ha="center", transform=ax.transAxes)
    if first.road is not None:
        plots.plane(recipe.shown(first.land), first.road, plane)
    if first.profile is not None:
        for profile in (pair.profile for pair in pairs[1:] if pair.profile is not None):
            for values, colour in ((profile.trace, plots.RED), (profile.top_eigenvalue, plots.ORANGE)):
                relative = values / values[[0, -1]].mean()
                narrow.plot(profile.position, relative, color=colour, lw=0.8, alpha=0.4)
        plots.profile(first.profile, narrow)
        if (raw := first.raw) is not None:
            relative, top = raw.trace / raw.trace[[0, -1]].mean(), narrow.get_ylim()[1]
            narrow.plot(raw.position, relative, color=plots.RED, lw=1.2, ls=":")
            narrow.set_ylim(0, top)
            words = (
                f"as the road was built: norm {raw.bump(raw.norm):.2f}, trace {raw.bump(raw.trace):.1f} of the ends'"
            )
            narrow.text(
                0.5, 0.99 * top, words, color=plots.RED, ha="center", va="top", fontsize=9, backgroundcolor="white"
            )
        thin = "" if len(pairs) == 1 else f" (thin: {len(pairs) - 1} more)"
        narrow.set_title(f"Flat in height, narrow in the middle{thin}", fontsize=12, loc="left")
    if first.releases and first.profile is not None:
        _homecoming(walkers, first, recipe)
    if first.complete:
        (_law_panel if valley else _collapse_panel)(law, first, recipe)
    figure.suptitle(
        f"Entropic confinement on {recipe.title}, seed {first.seed}: {recipe.settings[0].walkers} walkers from "
        "each start, bands are one standard error",
        fontsize=13,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})  # the same bytes each time
    return buffer.getvalue()


def _size(setting: Setting) -> str:
    return "all data" if setting.batch_size is None else f"B {setting.batch_size}, η {setting.learning_rate:g}"


def _homecoming(ax: Any, pair: Pair, recipe: Recipe) -> None:
    styles = {
        "hot": (plots.RED, "-"),
        "hot, excursions undone": (plots.ORANGE, "--"),
        "warm": (plots.ORANGE, "--"),
        "hot, noise of the road": (plots.GREEN, "--"),
        "cold": (plots.BLUE, "--"),
        "no noise": (plots.BLACK, ":"),
    }
    drawn = [each for each in recipe.settings if each.name in styles and each.name in pair.releases]
    time = len({(each.learning_rate, each.momentum) for each in drawn}) > 1  # steps of different lengths
    labels = []
    for setting in drawn:
        release, (colour, dash) = pair.releases[setting.name], styles[setting.name]
        at = release.time if time else release.step
        last = 1.01 * float(at[-1])
        plots.release(release, ax, colour=colour, dash=dash, time=time)
        size = "excursions undone" if setting.undo_excursions else _size(setting)
        size = "noise of the road" if setting.of_the_road else size
        labels += [(last, float(end), size, colour) for end in release.mean_position[-1]]
        if (setting.name == "hot" or recipe.kind == "valley") and pair.profile is not None:
            expected = predict(pair.profile, **recipe.step(setting), project_every=setting.project_every)
            for start in release.starts:
                track = expected.track(float(start), release.step)
                ax.plot(at, track, color=plots.PURPLE, lw=1.5, ls="-.")
                if recipe.kind != "valley" or setting.name == "hot":
                    labels.append((last, float(track[-1]), f"B {setting.batch_size}, linear theory", plots.PURPLE))
    plots.end_labels(ax, labels)
    ax.set_title(recipe.panels[0], fontsize=12, loc="left")


def _collapse_panel(ax: Any, pair: Pair, recipe: Recipe) -> None:
    colours = (plots.RED, plots.ORANGE, plots.GREEN, plots.BLUE, plots.BLACK)
    labels = []
    shown = [s for s in recipe.settings if not s.undo_excursions and not s.of_the_road]
    for setting, colour, dash in zip(shown, colours, plots.DASHES, strict=False):
        release = pair.releases[setting.name]
        gone, error = way(release)
        ax.plot(release.time, gone, color=colour, ls=dash, lw=2)
        ax.fill_between(release.time, gone - error, gone + error, color=colour, alpha=0.2, lw=0)
        label = f"{_size(setting)} (T {release.temperature:.3g})"
        labels.append((1.01 * float(release.time[-1]), float(gone[-1]), label, colour))
    plots.end_labels(ax, labels)
    plots.labelled(ax, "time η/(1-m) · step", "way gone towards the own end", recipe.panels[1])


def _law_panel(ax: Any, pair: Pair, recipe: Recipe) -> None:
    """What noise moved the walkers, against what linear theory says: on the diagonal they agree."""
    labels, top = [], 0.0
    colours = {"hot": plots.RED, "warm": plots.ORANGE, "cold": plots.BLUE}
    found = by_noise(pair, recipe)
    for setting in (s for s in recipe.settings if s.name in found):
        made, colour = found[setting.name], colours[setting.name]
        ax.errorbar(made["predicted"], made["measured"], made["error"], color=colour, marker="o", lw=1, capsize=3)
        labels.append((made["predicted"][-1], made["measured"][-1], _size(setting), colour))
        top = max(top, made["measured"][-1], made["predicted"][-1])
    ax.plot([0, 1.1 * top], [0, 1.1 * top], color=plots.PURPLE, ls="-.", lw=1.5)
    ax.text(0.7 * top, 0.66 * top, "linear theory", color=plots.PURPLE, va="top")
    for x, y, words, colour in labels:
        ax.annotate(words, (x, y), (-6, 6), textcoords="offset points", ha="right", color=colour)
    words = "way home by noise, measured"
    plots.labelled(ax, "predicted by linear theory, no free constant", words, recipe.panels[1])
