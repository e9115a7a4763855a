# %% [markdown]
# # 10 · Where the story stops
#
# *30 minutes. You need: lessons 01 to 03, and lesson 06 or first runs of SGD on a road.*
#
# The story so far: the floor is flat, its walls get closer and wider, and noise moves walkers to the wide part. Below
# are five floors at zero loss, before the first step. On one of them the story will hold. On the other four it will
# fail, each time for a different reason. Can you see which is which?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("10")

# %%
lesson.explore("opening")

# %% [markdown]
# ## Questions
#
# - When do walkers not go to the wide part, or go there for another reason?
# - Which control rules out which other explanation?
# - What can you conclude from five pairs of networks?

# %% [markdown]
# ## You will be able to
#
# - tell a healthy valley from four that only look like it (check 10.1)
# - name the control that exposes each failure (check 10.2)
# - say what share of a walk is due to noise, with its error (check 10.3)
# - investigate a question of your own, and conclude, or decline to, from a few pairs of minima (check 10.4)

# %% [markdown]
# ## Round 1: Which failure is it? (4 minutes)
#
# ### Predict
#
# You have seen the walls. Bet on the rule "noise always takes walkers to the wide part", or against it.

# %%
lesson.predict("wide")

# %% [markdown]
# ### Play
#
# *Story* is what lesson 02 says of each case: a heat bath, $\langle x^2\rangle = T/h$, push $-\tfrac{T}{2}h'/h$. Keep
# $B = 16$ and $\eta = 0.04$ at first. Then pin case D and go to $\eta = 0.01$. Try each of the three lower panels:
# where the walkers are, how strongly one batch kicks, and what the loss becomes when all of $\theta = (x, y)$ is
# doubled. The button repeats the run with other random numbers.

# %%
lesson.explore("cases", after="wide")

# %% [markdown]
# ### Explain
#
# The story needs steps with $\eta h \ll 2$, walls that change, noise that is the same everywhere, and a wide part that
# is a different function. Each planted case breaks one of these:
#
# - large steps: $\langle x^2\rangle = \dfrac{\eta s^2}{B\,h\,(2 - \eta h)}$, without bound at $\eta h = 2$;
# - constant $h$: no push, walkers only diffuse;
# - noise along the floor, of strength $D(y)$: walkers leave noisy places and stay in quiet ones. Without a push their
#   density is
#
# $$P(y) \propto \frac{1}{D(y)};$$
#
# - only scale: the loss depends on the direction of $\theta$ alone, as before a batch norm. Then
#   $h \propto 1/\lVert\theta\rVert^2$, each step makes $\theta$ longer, and "wide" is the same function with larger
#   weights.

# %% [markdown]
# ### Check
#
# Fill in the table: each case is one of `"constant"`, `"large steps"`, `"noise along"`, `"only scale"`, `"healthy"`.
# Leave `...` where you do not know yet.

# %%
lesson.hint("10.1")

# %% tags=["exercise"]
which = {"A": ..., "B": ..., "C": ..., "D": ..., "E": ...}

lesson.check("10.1", which)

# %% tags=["solution"]
which = {"A": "only scale", "B": "noise along", "C": "healthy", "D": "large steps", "E": "constant"}

lesson.check("10.1", which)

# %% [markdown]
# ## Round 2: How would you know? (4 minutes)
#
# ### Predict
#
# You do not see the walls of a network. But you have controls. Here is the best-known one.

# %%
lesson.predict("control")

# %% [markdown]
# ### Play
#
# Here are the five cases by name, and one more suspect: a *hidden slope*, a floor that falls by 0.02 per unit of
# length. It arises when training sees weight decay and the drift does not. For each control, find the rows that differ
# from the healthy valley.

# %%
lesson.explore("controls", after="control")

# %% [markdown]
# ### Explain
#
# A control changes one thing that, according to the story, matters or does not:
#
# | control | the story says | fails for |
# |---|---|---|
# | all data | nothing moves | hidden slope |
# | halve $\eta$ and $B$ | $T = \eta s^2/2B$ and the time $\eta n$ stay, so everything stays | large steps |
# | kicks along the floor | the same at both ends | noise along |
# | double $\theta$ | a different function | only scale |
# | profile of $h$ | it changes | constant |
# | distance | within a few $\sqrt{T/h}$ | large steps, and whatever else throws walkers out |
#
# Noise at right angles to $\theta$ shows in the kicks, too: it is no heat bath. That alone does not make a valley
# unhealthy; see round 2 of lesson 03.

# %% [markdown]
# ### Check
#
# Which control tells each suspect from the healthy valley? Choose one of `"all data"`, `"profile"`, `"halve both"`,
# `"kicks"`, `"double theta"`, `"distance"`.

# %%
lesson.hint("10.2")

# %% tags=["exercise"]
control = {"hidden slope": ..., "constant": ..., "large steps": ..., "noise along": ..., "only scale": ...}

lesson.check("10.2", control)

# %% tags=["solution"]
control = {"hidden slope": "all data", "constant": "profile", "large steps": "halve both"}
control |= {"noise along": "kicks", "only scale": "double theta"}

lesson.check("10.2", control)

# %% [markdown]
# ## Round 3: Your own network in ten lines (7 minutes)
#
# ### Predict
#
# A network of 2,410 weights, trained twice, and the road between the two: any `nn.Module` will do.

# %%
lesson.predict("share")

# %% [markdown]
# ### Play
#
# Five such pairs, recorded: the profile of each road, and walkers with noise and without. Change the batch size.

# %%
lesson.explore("yours", after="share")

# %% [markdown]
# Now your own. Put any `nn.Module` in place of `mine`; changing the width or the activation is a start.

# %% tags=["machine"]
layer, relu = torch.nn.Linear, torch.nn.ReLU
mine = torch.nn.Sequential(layer(64, 24), relu(), layer(24, 24), relu(), layer(24, 10))
data, generator = ee.data.digits(), lesson.generator()
land = ee.Network(mine, *data.train, weight_decay=5e-4, test=data.test, strategy="stacked")
run = ee.train(land, runs=2, batch_size=32, epochs=40, generator=generator)
print(run.summary())

# %% tags=["machine"]
size = {"pivots": 12, "sweeps": 500, "batch_size": 128, "points": 24}
road = ee.connect(land, *run.theta, method="string", **size, generator=generator)
profile = ee.probe(land, road, points=7, num_probes=1, lanczos_steps=6, generator=generator)
print(road.summary())
print(profile.summary())

# %% tags=["machine"]
settings = {"start": [0.3, 0.7], "learning_rate": 0.15, "momentum": 0.9, "steps": 720}
noisy = ee.drift(land, road, batch_size=16, walkers=4, **settings, generator=generator)
still = ee.drift(land, road, batch_size=None, walkers=1, **settings, generator=generator)
print("Batches of 16:", noisy.summary())
print("All data:     ", still.summary())

# %% [markdown]
# The control for mere scale: the loss without weight decay at both ends, and at both ends with all weights doubled.

# %% tags=["machine"]
print(land.data_loss(torch.cat([run.theta, 2 * run.theta])).tolist())

# %% [markdown]
# And this is what happens to a module whose loss depends on more than its weights. The message says what to do:

# %%
normed = torch.nn.Sequential(layer(64, 24), torch.nn.BatchNorm1d(24), relu(), layer(24, 10))
try:
    ee.Network(normed, *data.train)
except ValueError as error:
    print(error)

# %% [markdown]
# ### Explain
#
# Walkers start at $p_0$ and end at $p$ with noise, at $p_c$ without. The share of the walk that is due to noise is
#
# $$\frac{p - p_c}{p - p_0}.$$
#
# Ask these questions in order. Is the highest loss on the road close to that of its ends? Otherwise a hill explains
# everything. Does the trace rise in the middle, and does the adaptive trace, which scaling of layers cannot fool? Did
# walkers leave the valley? Then their positions mean little. What did the control do? Only then: how far did the
# walkers go?
#
# On these roads the adaptive trace rises less than the trace: part of the bump is scale. Doubling all weights changes
# the loss, so scale is not all there is.

# %% [markdown]
# ### Check
#
# `noise_share(start, noisy, still)` takes three tensors with an entry for each pair of minima. It returns two numbers:
# the mean share over the pairs, and its standard error.

# %%
lesson.hint("10.3")


# %% tags=["exercise"]
def noise_share(start, noisy, still):
    return ...


lesson.check("10.3", noise_share)


# %% tags=["solution"]
def noise_share(start, noisy, still):
    share = (noisy - still) / (noisy - start)
    return share.mean(), share.std() / len(share) ** 0.5


lesson.check("10.3", noise_share)

# %% [markdown]
# Your function now fills the right panel. Is the noise's share the same on both sides of the road, within the errors?

# %%
lesson.explore("yours", yours=noise_share)

# %% [markdown]
# ## Round 4: An investigation of your own (12 minutes)
#
# ### Predict
#
# One setting is easy to overlook: how often walkers are put back on the road.

# %%
lesson.predict("seldom")

# %% [markdown]
# ### Play
#
# There are two open questions here: other starts, some past the middle, and other intervals between projections.

# %%
lesson.explore("open", after="seldom")

# %% [markdown]
# ### Explain
#
# A projection sets the spread across the road to zero. After $k$ steps on a wall of curvature $h$ it is back to
#
# $$\langle x^2\rangle_k = \langle x^2\rangle\,\bigl[1 - (1 - \eta h)^{2k}\bigr]$$
#
# (without momentum), and the spread is what pushes. On these roads most walls are gentle, and the spread across them
# grows slowly. That fits what you saw but does not prove it: with large $k$ walkers also go further from the road,
# where its profile need not hold.
#
# From 0.5 the pairs disagree. Eight walkers on one road share that road: the pair is the unit. A mean over five pairs
# differs from zero if it is more than 2.8 standard errors away.

# %% [markdown]
# ### Check
#
# `conclude(moves)` takes a list of displacements, one for each of five pairs, positive towards that side's own end, and
# returns `"home"`, `"inward"` or `"cannot tell"`.

# %%
lesson.hint("10.4")


# %% tags=["exercise"]
def conclude(moves):
    return ...


lesson.check("10.4", conclude)


# %% tags=["solution"]
def conclude(moves):
    moves = torch.tensor(moves)
    mean, error = moves.mean(), moves.std() / len(moves) ** 0.5
    if abs(mean) <= 2.8 * error:
        return "cannot tell"
    return "home" if mean > 0 else "inward"


lesson.check("10.4", conclude)

# %% [markdown]
# Your rule now judges every start: ▲ home, ▼ inward, ● cannot tell.

# %%
lesson.explore("open", yours=conclude)

# %% [markdown]
# Now ask a question of your own. `investigate(land, road, generator)` gets a network, a road and random draws, and
# returns one number. Some questions to choose from:
#
# - *Past the middle.* `start=[0.45, 0.5, 0.55]`: where is the ridge, and is it where the trace is largest?
# - *The interval k.* `project_every` of 5, 15, 45 at $B$ of 8, 16, 32: does $k$ act like a temperature?
# - *No projection.* `project_every=None` and `release.distance`: when is "position" the wrong word?
# - *The control.* `batch_size=None`, or `learning_rate` and `batch_size` halved and `steps` doubled.

# %% [markdown]
# The button runs it on the five roads of lesson 04 (about 20 seconds; until yours is written, four walkers start at
# 0.45). Then hand the five numbers to your own `conclude`.


# %% tags=["exercise"]
def investigate(land, road, generator):
    return ...


lesson.explore("mine", yours=investigate)


# %% tags=["solution"]
def investigate(land, road, generator):
    settings = {"batch_size": 8, "learning_rate": 0.2, "momentum": 0.9, "steps": 240, "walkers": 4}
    start = torch.tensor([0.45, 0.55])
    release = ee.drift(land, road, start=start, project_every=45, generator=generator, **settings)
    moved = release.position[-1] - release.start
    return torch.where(release.start < 0.5, -moved, moved).mean()


lesson.explore("mine", yours=investigate)

# %% [markdown]
# Write your prediction down before you press. A report that others can check looks like this:
#
# ```text
# Question       one sentence with a question mark
# Prediction     written before the run, with a number
# Varied         one thing, and its values
# Held fixed     network, data, training, road, time η·steps, objective
# Controls       all data; halved η and B; distance from the road; adaptive trace; which of them is missing
# Seeds          pairs of minima (the unit), walkers in each
# Figure         one, with error bars over pairs
# Change of mind what result would have made me say the opposite
# Conclusion     home, inward, or cannot tell; and where it may stop being true
# ```

# %% [markdown]
# ## Key points
#
# - Walkers go to the wide part when steps are small, walls change, and the noise is the same all along the floor. Noise
#   that varies along the floor can do the opposite. If only the scale changes, "wide" is not another function.
# - The full-batch control finds a slope of the loss. Halving $\eta$ and $B$ finds steps that are too large; kicks,
#   noise along the floor; doubling $\theta$ or an adaptive trace, mere scale. None replaces another.
# - A pair of minima is one observation. With five pairs you can conclude beyond 2.8 standard errors; otherwise you
#   cannot tell.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The failures here are planted one at a time. In a network several can be there at once, weakly.
# - Noise along the floor was made stronger where the valley is wide. In a trained network noise tends to be stronger
#   where walls are steep; whether it varies like this along a road was not measured here.
# - Doubling all weights tests one symmetry. A ReLU network has one for each hidden unit, and this test does not show
#   those.
# - Nothing in this course shows that flat minima generalise. "Flat" changes with scale, and a bad minimum can be the
#   flatter one by the raw trace; see lesson 08. Drift to a wide part is a statement about SGD, not about test accuracy.
# - One small network, one data set, 720 steps: the recorded roads say nothing beyond these.

# %% [markdown]
# ## Terms used
#
# - **full-batch control**: the same walkers on the gradient of all data, no noise
# - **scale invariance**: $L(c\,\theta) = L(\theta)$ for every $c > 0$, as for weights before a batch norm
# - **diffusion strength** $D(y)$: half the variance that noise adds along the floor in a unit of time
# - **unit of observation**: what is independent from one to the next; here a pair of minima

# %% [markdown]
# ## Next
#
# Write your report. The [README](../README.md) says what else the package can do.
