# %% [markdown]
# # 06 · Let go on the road
#
# *35 minutes. You need: lessons 02 to 05 (free energy, the road and its bump), SGD with momentum.*
#
# Walkers start on the roads between two trained networks, at 0.3 and at 0.7. Each takes $k = 15$ steps of SGD, is put
# back on the nearest point of its road, and carries on. Above is the run with batches of 16; below, the same without
# noise. Run all cells and press Play.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("06")

# %%
lesson.play("hot")

# %% [markdown]
# Recorded on the five roads of lesson 05: digits, a normalised network of 16,330 weights, label noise 0.1, weight
# decay, one objective in training, road and walk. Noise takes walkers home. What pushes them?

# %% [markdown]
# ## Questions
#
# - Do walkers go back to the minima because of a barrier in the loss?
# - Which number of B, η and m decides how far they get?
# - What pushes them, and why are some of them faster than linear theory says?

# %% [markdown]
# ## You will be able to
#
# - put a walker back on a bent road (check 6.1)
# - release walkers with a few lines of your own, at any temperature (check 6.2)
# - find how hard noise pushes from the excess loss of the walkers, with no free constant (check 6.3)
# - separate what noise does from what the slope does, with an error (check 6.4)

# %% [markdown]
# ## Round 1: Without noise (7 minutes)
#
# ### Predict
#
# Does a walker return to a minimum because of a barrier in the loss? Remove the noise and look.

# %%
lesson.predict("still")

# %% [markdown]
# ### Play
#
# The explorer begins with all data. Make B smaller step by step. Then set *released at* to 0.1, where the objective
# pulls inwards, and compare all data with $B = 16$. Try 0.5 and 0.6: which end do walkers choose? Grey lines are the
# other starts. The button lets walkers go now, on one pair.

# %%
lesson.explore("walk", after="still")

# %% [markdown]
# ### Explain
#
# Split the drift of position $s$ into two parts:
#
# $$\dot s = \underbrace{-L'(s)}_{\text{slope}} \;+\; \underbrace{v_{\text{noise}}(s)}_{\text{what is left}}.$$
#
# The control measures the first part: the same road, start and flow time, with all data. From 0.3 it stays.
#
# From 0.1 the two have opposite signs: the slope pulls inwards, to 0.138 ± 0.002; noise at $B = 16$ carries the walkers
# outwards, to 0.031 ± 0.008. Only noise does that.
#
# Linear theory (dash-dotted, nothing fitted) takes the spread of a small cloud between two projections, times the slope
# of the curvature. It nearly says how far walkers get; the next rounds ask what is missing.

# %% [markdown]
# ### Check
#
# So far the course has put the walkers back. Write it yourself: `project(theta, pivots)` returns the nearest point of a
# road of straight pieces, and the unit direction of the piece it lies on.

# %%
lesson.hint("6.1")


# %% tags=["exercise"]
def project(theta, pivots):
    return ...


lesson.check("6.1", project)


# %% tags=["solution"]
def project(theta, pivots):
    piece = pivots[1:] - pivots[:-1]
    share = ((theta - pivots[:-1]) * piece).sum(1) / piece.square().sum(1)
    points = pivots[:-1] + share.clamp(0, 1)[:, None] * piece
    best = (points - theta).norm(dim=1).argmin()
    return points[best], piece[best] / piece[best].norm()


lesson.check("6.1", project)

# %% [markdown]
# ## Round 2: One temperature (10 minutes)
#
# ### Predict
#
# Batch size, learning rate and momentum: three knobs. Perhaps they act through one number.

# %%
lesson.predict("same")

# %% [markdown]
# ### Play
#
# Each filled point is a setting, each open one what linear theory says about it. Plot them against $B$, then against
# $T$. Then *measured by* the rate: where do points and theory part?

# %%
lesson.explore("collapse", after="same")

# %% [markdown]
# ### Explain
#
# With momentum $m$ a gradient acts $1 + m + m^2 + \dots = 1/(1-m)$ times, so the number to try is
#
# $$T = \frac{\eta}{(1-m)\,B}.$$
#
# "Temperature" is an analogy: mini-batch noise is no heat bath.
#
# At one $T$ both learning rates go nearly as far: 70 and 75 % of the way home at $T = 0.0125$, 39 and 44 % at
# half of it. At one $B = 32$ they go 39 and 75 %. Theory says so too, and why: $k = 15$ steps are a
# longer flow at the larger $\eta$, so the cloud spreads wider.
#
# The rate shows where theory ends: measured over theory it is 1.3 at $B = 128$ and 1.8 at 16 ($\eta = 0.02$). Hot
# walkers carry more excess loss than theory says: round 3 measures it, round 4 has the control.

# %% [markdown]
# ### Check
#
# Now let them go: `release(theta, pivots, gradient, learning_rate, momentum, steps, every)` takes `steps` steps of SGD
# with momentum, and after each `every` of them puts the walker back with your `project`. Only the part of the velocity
# along the road is kept.

# %%
lesson.hint("6.2")


# %% tags=["exercise"]
def release(theta, pivots, gradient, learning_rate, momentum, steps, every):
    return ...


lesson.check("6.2", release)


# %% tags=["solution"]
def release(theta, pivots, gradient, learning_rate, momentum, steps, every):
    velocity = torch.zeros_like(theta)
    for step in range(1, steps + 1):
        velocity = momentum * velocity - learning_rate * gradient(theta)
        theta = theta + velocity
        if step % every == 0:
            theta, along = project(theta, pivots)
            velocity = (velocity @ along) * along
    return theta


lesson.check("6.2", release)

# %% [markdown]
# Your walkers are networks now: 16,330 weights on the road of pair 1. Press the button at $B = 16$, then at $B = 32$
# and twice the learning rate, then with all data.

# %%
lesson.explore("own", release=release)

# %% [markdown]
# ## Round 3: Excess loss times narrowing (6 minutes)
#
# ### Predict
#
# Walkers spread off the road, so they stand higher than it. The mean of $\Delta L$, the loss of their fresh batches
# minus that of the road beside them, is their *excess loss*. It is measured on the way, at no cost.

# %%
lesson.predict("push")

# %% [markdown]
# ### Play
#
# Each mark is a run on one road: five roads of the valley, and five of a network with hard labels, the *runaway*. The
# vertical axis is the force of the noise, with the slope of the objective subtracted. What does it depend on? Try all
# three axes.

# %%
lesson.explore("push", after="push")

# %% [markdown]
# ### Explain
#
# In a valley of curvature $h$ the excess loss is $\tfrac12 h\langle x^2\rangle$ and the push
# $-\tfrac12 h'\langle x^2\rangle$. Their ratio does not depend on the noise: it is the *narrowing* $\Lambda = h'/h$,
# how fast the road narrows. In many directions it is a mean over the spectrum (`profile.narrowing`). So
#
# $$v = -\frac{\eta}{1-m}\,[\,L'(s) + \Lambda(s)\,\langle\Delta L\rangle\,].$$
#
# Force follows $\Lambda\langle\Delta L\rangle$ from B 128 to the hottest walkers that stay, nothing fitted: 1.14 ± 0.04
# of it in the valley, 1.00 ± 0.09 in the runaway. Noise only decides how much excess loss a walker carries.
#
# The rest is shape: $\Lambda$ assumes noise shaped like $H$. The walkers' own cloud, moved along the road unchanged,
# meets 1.25 ± 0.04 times that narrowing (valley, three pairs, $B = 64$). Cold walkers are pushed 1.2 times as hard.

# %% [markdown]
# ### Check
#
# `force(position, trace, length, excess)` returns the force of the noise at the inner points of a road, loss per
# length. Take $h'/h$ from the trace that was measured at `position` (shares of the road), with both neighbours of a
# point for the slope.

# %%
lesson.hint("6.3")


# %% tags=["exercise"]
def force(position, trace, length, excess):
    return ...


lesson.check("6.3", force)


# %% tags=["solution"]
def force(position, trace, length, excess):
    way = (position[2:] - position[:-2]) * length
    slope = (trace[2:] - trace[:-2]) / way
    return -slope / trace[1:-1] * excess[1:-1]


lesson.check("6.3", force)

# %% [markdown]
# ## Round 4: The runaway, taken apart (7 minutes)
#
# ### Predict
#
# Hard labels, no normalisation, $\eta = 0.2$: there walkers at $B = 16$ go home many times faster than linear theory
# says. Is theory wrong, or is the noise different from what it assumes?

# %%
lesson.predict("frozen")

# %% [markdown]
# ### Play
#
# Take it apart: the temperature, the noise, the bursts; then the same control in the valley.

# %%
lesson.explore("runaway", after="frozen")

# %% [markdown]
# A sceptic has more doubts, about the valley. After each, say whether it changes your mind.

# %%
lesson.explore("sceptic")

# %% [markdown]
# ### Explain
#
# Near zero loss the noise of a batch is small on the road, and grows faster than the loss off it. Above
#
# $$T^* = \frac{L}{\mathrm{tr}\,C}$$
#
# it feeds itself: walkers burst, until projection stops them. Two controls say so ($k = 15$). With the noise of the
# road, which cannot grow, walkers end at 0.26: theory says 0.26, their own noise gives 0.07. And the earlier bursts are
# undone, the less far they get: 0.14, 0.23, 0.28.
#
# In the valley the same control gives 0.12 where their own noise gives 0.09: there excess loss grows by a quarter.
#
# The sceptic's best point is $k$: it decides as much as $T$, as theory says. Walkers never put back leave the road
# sideways, yet go home.

# %% [markdown]
# ### Check
#
# What would convince the sceptic? `noise_share(noisy, control)` takes two lists of displacements, one number per pair
# of minima. How many standard errors is the noise's mean effect from zero?

# %%
lesson.hint("6.4")


# %% tags=["exercise"]
def noise_share(noisy, control):
    return ...


lesson.check("6.4", noise_share)


# %% tags=["solution"]
def noise_share(noisy, control):
    effect = torch.tensor(noisy) - torch.tensor(control)
    return effect.mean() / (effect.std() / len(effect) ** 0.5)


lesson.check("6.4", noise_share)

# %% [markdown]
# ## Key points
#
# - No barrier of the loss sends walkers home: without noise they stay near their start. Near the ends the objective
#   even pulls inwards, and noise carries them against it ($k = 15$; control: the same flow time without noise).
# - $T = \eta/((1-m)B)$ decides nearly alone, at a given $k$; linear theory says so, and falls short where it is hot.
# - A walker is pushed by its own excess loss times the narrowing of the road. Noise only decides how much excess loss
#   it carries. Where noise grows off the road that is more than linear theory says; with the noise of the road it is
#   what theory says.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The number of free steps $k$ is a knob of the experiment, and a strong one: in flow time 300 walkers come from 0.3
#   to 0.28 with $k = 5$, to 0.22 with 15 and to 0.16 with 45.
# - Excess loss is measured on the way, not predicted. Linear theory has it right for the noise of the road, and too
#   small where noise grows.
# - The coldest walkers of the runaway ($B = 64$ and 128) lie above the line, on one road twenty-fold: their force is
#   tiny, and something other than excess loss makes most of it.
# - Batch sharpness, whose limit is $2(1-m)/\eta$, does not mark where theory ends here: with noisy labels it is often
#   negative.
# - The recipe of the valley was chosen by looking, on other seeds. Lesson 05 says what it needs.
# - In the runaway 4 % of the projections at $B = 16$ come from outside the valley, at $B = 8$ 13 %. There
#   position means little.
# - Two architectures, one data set, five pairs each. $T$ does not compare Adam with SGD.

# %% [markdown]
# ## Terms used
#
# - **control**: the same run without noise, compared at equal flow time $\eta/(1-m)\cdot$ steps
# - **effective temperature** $T = \eta/((1-m)B)$: a name for the number that orders the settings
# - **projection**: putting a walker back on the nearest point of the road; $k$ free steps lie between two
# - **excess loss** $\langle\Delta L\rangle$: mean loss of the walkers minus that of the road beside them
# - **narrowing** $\Lambda$: how fast the road narrows, per length
# - **noise of the road**: that of the same batches where the walker was put back last; it cannot grow
# - **$T^*$** $= L/\mathrm{tr}\,C$ on the road: near zero loss, above it noise feeds itself

# %% [markdown]
# ## Next
#
# When in training does the barrier of the loss go, and when the bump? [07 · The late game](07_late_game.ipynb)
