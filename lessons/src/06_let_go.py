# %% [markdown]
# # 06 · Let go on the road
#
# *50 minutes. You need: lessons 02 to 05 (free energy, the road and its bump), SGD with momentum.*
#
# Eighty walkers stand on the roads between two trained networks, at 0.3 and at 0.7. Each takes 15 steps of SGD, is put
# back on the nearest point of its road, and goes on. Run all cells and press Play.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("06")

# %%
lesson.play("hot")

# %% [markdown]
# Recorded on five pairs of minima: digits, a network of 3,466 weights, cross-entropy with weight decay, the objective
# that the roads of lesson 04 were made on. The walkers go home. What sends them?

# %% [markdown]
# ## Questions
#
# - Do walkers go back to the minima because of a barrier in the loss?
# - Which number of B, η and m decides how far they get?
# - What of this is predicted by theory, and what would a sceptic say?

# %% [markdown]
# ## You will be able to
#
# - separate what noise does from what the slope does, with an error (check 6.1)
# - compute the effective temperature of SGD with momentum (check 6.2)
# - predict the drift of a network whose labels jitter, with no free constant (check 6.3)
# - choose a batch size that keeps the temperature (check 6.4)

# %% [markdown]
# ## Round 1: Without noise (12 minutes)
#
# ### Predict
#
# A walker that returns to a minimum: is a barrier of the loss behind it? Take the noise away and look.

# %%
lesson.predict("still")

# %% [markdown]
# ### Play
#
# It begins with all data. Make B smaller step by step. Then set *released at* to 0.1, where the objective pulls
# inwards, and compare all data with $B = 16$. Try 0.5 and 0.6: which end do walkers choose? Grey lines are the other
# starts. The button lets 16 walkers go now, on one pair.

# %%
lesson.explore("walk", after="still")

# %% [markdown]
# ### Explain
#
# Split the drift of position $s$ into two parts:
#
# $$\dot s = \underbrace{-L'(s)}_{\text{slope}} \;+\; \underbrace{v_{\text{noise}}(s)}_{\text{what is left}}.$$
#
# The control measures the first part: the same road, start and steps, with all data. It moves, a little: the road is
# not exactly level. The noise's share is the difference, taken pair by pair.
#
# From 0.1 the two have opposite signs: the slope pulls inwards, noise at $B = 16$ carries the walkers outwards.
# Nothing but noise does that.
#
# Linear theory (dash-dotted: the spread of a small cloud times the slope of the curvature) agrees with the cold
# walkers. The hot ones go many times faster: off the road the noise grows, and above a temperature $T^*$ it feeds
# itself. With the noise of the road alone (`ee.noise.OfTheRoad(16)`) theory is right.

# %% [markdown]
# ### Check
#
# `noise_share(noisy, control)` takes two lists of displacements, one number per pair of minima. How many standard
# errors is the noise's mean effect from zero?

# %%
lesson.hint("6.1")


# %% tags=["exercise"]
def noise_share(noisy, control):
    return ...


lesson.check("6.1", noise_share)


# %% tags=["solution"]
def noise_share(noisy, control):
    effect = torch.tensor(noisy) - torch.tensor(control)
    return effect.mean() / (effect.std() / len(effect) ** 0.5)


lesson.check("6.1", noise_share)

# %% [markdown]
# ## Round 2: One temperature? (12 minutes)
#
# ### Predict
#
# Batch size, learning rate and momentum: three knobs. Perhaps they act through one number.

# %%
lesson.predict("same")

# %% [markdown]
# ### Play
#
# Every point is a setting. Plot the points against $B$, then $\eta/B$, then $T$. On which axis do they come closest to
# one curve? Watch the diamonds, another momentum. Then *measured by* steps and time: open marks did not get half way.

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
# For $\eta = 0.2$ and $0.4$ the collapse holds within errors. Over a factor 8 in $\eta$ it is rough: at $T = 0.125$
# they go 69 to 89 % of the way home, at $T = 0.0625$ 26 to 47 % ($m = 0.8$: 66 and 54 %). At $B = 16$ they differ from
# 13 to 94 %.
#
# The paper finds $B = 16$ ten times faster than $B = 256$. Here $B = 256$ never gets half way, nor does it without
# noise: there is no ratio to give.

# %% [markdown]
# ### Check
#
# `temperature(batch_size, learning_rate, momentum)` returns $T$.

# %%
lesson.hint("6.2")


# %% tags=["exercise"]
def temperature(batch_size, learning_rate, momentum):
    return ...


lesson.check("6.2", temperature)


# %% tags=["solution"]
def temperature(batch_size, learning_rate, momentum):
    return learning_rate / ((1 - momentum) * batch_size)


lesson.check("6.2", temperature)

# %% [markdown]
# ## Round 3: No free constant (12 minutes)
#
# ### Predict
#
# One kind of noise is known exactly: labels that jitter. A smaller network, squared loss, 100 digits, odd or even.

# %%
lesson.predict("double")

# %% [markdown]
# ### Play
#
# The points are walkers, the control taken off; the dash-dotted line is theory, with nothing fitted. Turn $\sigma$, $B$
# and $\eta$. Set $\sigma = 0$. Look at the other pairs. Where do points and line part?

# %%
lesson.explore("jitter", after="double")

# %% [markdown]
# ### Explain
#
# Where the network fits its labels, jitter of standard deviation $\sigma$ makes gradient noise of covariance
# $2\sigma^2 H/B$, exactly, for the mean squared error. In every curved direction the spread is $\eta\sigma^2/B$, so the
# force along the road is
#
# $$-\frac{\eta\,\sigma^2}{2B}\,\frac{d\,\mathrm{tr}\,H}{ds}.$$
#
# (With ½ before the squared error it is ¼.) That is the dotted line. The dash-dotted one adds that a projection
# resets the spread to zero, and that steps are finite.
#
# Measured over predicted, at $\sigma = 0.3$, $B = 50$, $\eta = 0.02$: 1.04, 0.98 and 1.07 on three pairs, errors 0.01
# to 0.04. On pair 2 at $\sigma = 0.6$ the drift falls short by up to a tenth: the spread is no longer small.

# %% [markdown]
# ### Check
#
# `push(sigma, batch_size, learning_rate, slope)` returns this force, where `slope` is $d\,\mathrm{tr}\,H/ds$.

# %%
lesson.hint("6.3")


# %% tags=["exercise"]
def push(sigma, batch_size, learning_rate, slope):
    return ...


lesson.check("6.3", push)


# %% tags=["solution"]
def push(sigma, batch_size, learning_rate, slope):
    return -learning_rate * sigma**2 / (2 * batch_size) * slope


lesson.check("6.3", push)

# %% [markdown]
# ## Round 4: The sceptic (12 minutes)
#
# ### Predict
#
# The experiment has one unnatural part: it puts walkers back on the road.

# %%
lesson.predict("free")

# %% [markdown]
# ### Play
#
# Go through the five doubts. After each, say whether it changes your mind.

# %%
lesson.explore("sceptic", after="free")

# %% [markdown]
# ### Explain
#
# - *Excursions*: undone, walkers get home too, at the speed of each burst. Without that they get less far.
# - *Noise on late*: walkers wait, then go. *Off*: the slope moves them back inwards.
# - *Free steps*: $k$ matters as much as $T$. With $k = 5$ walkers hardly move; with 20 nearly all leave the valley.
# - *Optimizer*: heavy ball beats plain SGD at the same $\eta$, which is ten times colder. Warmer plain SGD scatters.
#   Adam goes home slowly. Nesterov does too, but most of its walkers leave the valley on the way.
# - *No projection*: at $B = 16$ the network is lost; all data drift off the road too, as it lies a little above the
#   floor.
#
# To compare optimizers keep $T$ equal: $B \propto \eta/(1-m)$.

# %% [markdown]
# ### Check
#
# `same_heat(batch_size, learning_rate, momentum, new_rate, new_momentum)`: which batch size keeps $T$?

# %%
lesson.hint("6.4")


# %% tags=["exercise"]
def same_heat(batch_size, learning_rate, momentum, new_rate, new_momentum):
    return ...


lesson.check("6.4", same_heat)


# %% tags=["solution"]
def same_heat(batch_size, learning_rate, momentum, new_rate, new_momentum):
    return batch_size * (new_rate / (1 - new_momentum)) / (learning_rate / (1 - momentum))


lesson.check("6.4", same_heat)

# %% [markdown]
# ## Key points
#
# - No barrier of the loss sends walkers home: without noise they stay near their start. Near the ends the objective
#   even pulls inwards, and noise carries them against it.
# - $T = \eta/((1-m)B)$ orders the settings far better than $B$ does. It is a guide, not a law: smaller steps at the
#   same $T$ get further.
# - With jittered labels theory predicts the drift to a few per cent, nothing fitted. For hot mini-batches it is many
#   times too slow. The result needs the projection: without it, hot walkers leave the valley.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - Hot walkers move far faster than linear theory says. We have no explanation.
# - The number of free steps $k$ is a knob of the experiment, and a strong one. Comparing learning rates, $k$ was chosen
#   so that a free walker spreads equally between projections; another rule would give another collapse.
# - Some per cent of the hot walkers' projections come from outside the valley; from the middle more than a tenth.
#   There position means little.
# - The control moves: the objective along these roads is not flat to the last digit.
# - One architecture, one data set, five pairs. Three networks in round 3.
# - $T$ does not compare Adam with SGD.

# %% [markdown]
# ## Terms used
#
# - **control**: the same run without noise
# - **effective temperature** $T = \eta/((1-m)B)$: a name for the number that orders the settings
# - **projection**: putting a walker back on the nearest point of the road; $k$ free steps lie between two
# - **excursion**: a projection from further away than a tenth of the road's length
# - **relaxation time**: here the steps until half of the distance home is gone

# %% [markdown]
# ## Next
#
# When in training does the barrier of the loss go, and when the bump? [07 · The late game](07_late_game.ipynb)
