"""What the story looks like: road, profile, walkers and collapse on one page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from entropic_edu.figures import plots
from entropic_edu.physics.theory import predict

from .recipes import Pair, Recipe, Setting
from .report import way


def picture(pairs: Sequence[Pair], recipe: Recipe) -> bytes:
    """Return the first pair as PNG, the profiles of the others behind it; panels that are not there yet stay empty."""
    figure = Figure(figsize=(13, 10), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    panels, first = figure.subplots(2, 2), pairs[0]
    for ax, ready in zip(panels.flat, (first.road, first.profile, first.releases, first.complete), strict=True):
        if not ready:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "not finished yet", ha="center", transform=ax.transAxes)
    if first.road is not None:
        plots.plane(first.part, first.road, panels[0, 0])
    if first.profile is not None:
        for profile in (pair.profile for pair in pairs[1:] if pair.profile is not None):
            for values, colour in ((profile.trace, plots.RED), (profile.top_eigenvalue, plots.ORANGE)):
                relative = values / values[[0, -1]].mean()
                panels[0, 1].plot(profile.position, relative, color=colour, lw=0.8, alpha=0.4)
        plots.profile(first.profile, panels[0, 1])
        thin = "" if len(pairs) == 1 else f" (thin: {len(pairs) - 1} more)"
        panels[0, 1].set_title(f"Flat in height, narrow in the middle{thin}", fontsize=12, loc="left")
    if first.releases and first.profile is not None:
        _homecoming(panels[1, 0], first, recipe)
    if first.complete:
        _collapse_panel(panels[1, 1], first, recipe)
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
        labels += [(last, float(end), size, colour) for end in release.mean_position[-1]]
        if setting.name == "hot" and pair.profile is not None:
            expected = predict(pair.profile, **recipe.step(setting), project_every=setting.project_every)
            for start in release.starts:
                track = expected.track(float(start), release.step)
                ax.plot(at, track, color=plots.PURPLE, lw=1.5, ls="-.")
                labels.append((last, float(track[-1]), f"B {setting.batch_size}, linear theory", plots.PURPLE))
    plots.end_labels(ax, labels)
    ax.set_title(recipe.panels[0], fontsize=12, loc="left")


def _collapse_panel(ax: Any, pair: Pair, recipe: Recipe) -> None:
    colours = (plots.RED, plots.ORANGE, plots.GREEN, plots.BLUE, plots.BLACK)
    labels = []
    shown = [setting for setting in recipe.settings if not setting.undo_excursions]
    for setting, colour, dash in zip(shown, colours, plots.DASHES, strict=False):
        release = pair.releases[setting.name]
        gone, error = way(release)
        ax.plot(release.time, gone, color=colour, ls=dash, lw=2)
        ax.fill_between(release.time, gone - error, gone + error, color=colour, alpha=0.2, lw=0)
        label = f"{_size(setting)} (T {release.temperature:.3g})"
        labels.append((1.01 * float(release.time[-1]), float(gone[-1]), label, colour))
    plots.end_labels(ax, labels)
    plots.labelled(ax, "time η/(1-m) · step", "way gone towards the own end", recipe.panels[1])
