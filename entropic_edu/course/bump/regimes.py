"""Round 4: what the bump and the way home need. One thing after another is turned off, beside the story's setting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from entropic_edu import recorded
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import Sheet
from entropic_edu.teaching.strings import text

from .common import over_pairs, ratio_of
from .rows import BUMPS, LEFT, panels, show
from .setting import BASE, Setting

CONTROLS = {"noise_of_ends": "calm", "wrong_labels": "clean", "layer_norm": "plain", "decay_on": "undecayed"}
OTHERS = ("none", "hard", "squared", "batch", "autoneb", "all")


def asked(*, road_norms: str, other_change: str, **switches: str) -> SimpleNamespace:
    """Return the setting that the controls ask for, and whether it is ``alone``: not recorded with these switches."""
    off = [name for control, name in CONTROLS.items() if switches[control] == "off"]
    name = "+".join([*[other_change] * (other_change != "none"), *off]) or "base"
    known = f"{name}/trace" in recorded.load("regimes")
    return SimpleNamespace(setting=Setting(name if known else other_change, road_norms == "ends"), alone=not known)


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw the story's setting, and beneath it the chosen one."""
    show(sheet, (BASE, state.setting))


def words(state: SimpleNamespace) -> str:
    """Say the numbers of a setting, with their errors over the pairs, and what the controls could not do."""
    setting: Setting = state.setting
    told = {measure: ratio_of(setting.bump(measure)) for measure in BUMPS}
    home = {kind: over_pairs(100 * each) for kind, each in setting.home().items()}
    walk: dict[str, Any] = {kind: round(float(mean.value)) for kind, mean in home.items()}
    walk |= {f"{kind}_error": float(mean.error) for kind, mean in home.items()}
    made = recorded.load("regimes").recipe
    walk |= {"steps": made["steps"]["walk"], "k": made["walk"]["project_every"]}
    also = [text("05.map.walks", **walk) if home else text("05.map.no_walks")]
    if home and setting.outside > LEFT:
        also.append(text("05.map.left", share=100 * setting.outside))
    if not setting.matched and not setting.unmatched:
        also.append(text("05.map.nothing_to_match"))
    if state.alone:
        also.append(text("05.map.alone"))
    return text("05.map.sentence", name=setting.title(), **told, walks=" ".join(also))


def code(state: SimpleNamespace) -> str:
    """Return lines that read the bump of the trace."""
    key = f"{state.setting.name}/{'raw_' if state.setting.unmatched else ''}trace"
    return (
        "from entropic_edu import recorded\n"
        "from entropic_edu.recorded.regimes import bump\n"
        f'each = bump(recorded.load("regimes")["{key}"])  # three pairs; entropic-edu record regimes makes all\n'
        "print(each.mean(), each.std() / len(each) ** 0.5)"
    )


def regimes(seed: int) -> Explorer:
    """Bump and way home, one thing after another turned off."""
    switches = [switch(name, ("on", "off")) for name in CONTROLS]
    more = [switch("road_norms", ("ends", "built")), switch("other_change", OTHERS)]
    return Explorer(
        draw, [*switches, *more], panels(2), words, state=asked, title="05.map.title", code=code, height=340
    )
