# %% [markdown]
# # 02 · A flat floor that is not free
#
# The loss on this line is exactly zero everywhere. Why won't a walker stay put?
#
# *25 minutes. You need: lesson 01, the temperature $T = \eta s^2 / 2B$.
# All symbols are on [one page](../docs/site/symbols.md).*
#
# Run all cells, press **Play** and drag the batch size. Both crowds start in the middle of a floor, with the same
# random draws. The loss along the dashed line is zero from end to end, so its slope is zero too. Only the walls differ:
# on the right they are straight; on the left they tighten, and are sixteen times as steep in the middle as at the ends.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("02")

# %%
lesson.play("waist")

# %% [markdown]
# ## Questions
#
# - Does a walker drift on a floor that is exactly flat?
# - What does it feel, if not the loss?
# - Is a narrow place the same as a hill?
#
# ## You will be able to
#
# - compute the push that tightening walls give (check 2.1);
# - write a walker that feels walls tighten (check 2.2);
# - measure a free energy by counting your own walkers (check 2.3);
# - say how much rarer walkers are in a narrow place, and how much on a hill (check 2.4).

# %% [markdown]
# ## Round 1: Spread, or push? (5 minutes)
#
# ### Predict
#
# Walkers that start at one point leave it in any case: noise spreads them. So spread them evenly from the start. A
# third of them is then in the narrow third of the floor.

# %%
lesson.predict("where")

# %% [markdown]
# ### Play
#
# Press **Play**. The dotted lines bound the narrow third; the crowd between straight walls is the control. At step 480
# both stop, to be counted: read the sentence below. Moving a slider starts both again. Then put *no noise* or *another
# batch size* beside it.

# %%
lesson.play("narrow", after="where")

# %% [markdown]
# ### Explain
#
# A walker never stands exactly on the floor. Noise keeps it at a distance $x$, and there the loss is $\tfrac12 h x^2$.
# Where the walls tighten, the same $x$ costs more. So each walker feels a push along the floor, $-\tfrac12 h' x^2$,
# away from the narrow part. From lesson 01, its mean is $\langle x^2\rangle = T/h$. The mean push is
#
# $$p(y) = -\frac T2\,\frac{h'(y)}{h(y)}.$$
#
# $h$ is the curvature across the floor at $y$, and $h'$ its slope along the floor. On average each step moves a walker
# by $\eta p$; the dashed line in the picture is where this law takes the crowd. Without noise $T = 0$, and nothing
# moves. With straight walls $h' = 0$, and nothing drifts.

# %% [markdown]
# ### Check
#
# Exercise 2.1. The mean push on a walker, from the curvature, its slope along the floor, and the temperature.

# %%
lesson.hint("2.1")


# %% tags=["exercise"]
def force(curvature, slope, temperature):
    return ...  # your line


lesson.check("2.1", force)


# %% tags=["solution"]
def force(curvature, slope, temperature):
    return -0.5 * temperature * slope / curvature


lesson.check("2.1", force)

# %% [markdown]
# ## Round 2: Count walkers, read energy (11 minutes)
#
# ### Predict
#
# Wait until the crowd no longer changes. Then count.

# %%
lesson.predict("rarer")

# %% [markdown]
# ### Play
#
# Top left: how many walkers are where. Below it: the same counts as an energy. A cooler crowd needs longer to settle,
# and 480 steps are not enough for it: the button runs 12,000.

# %%
lesson.explore("histogram", after="rarer")

# %% [markdown]
# ### Explain
#
# A push that depends only on the place is the slope of an energy. Here it is
#
# $$F(y) = \frac T2 \ln h(y), \qquad p = -F'.$$
#
# $F$ is called *free energy*. It is not a loss: the loss on the floor is zero. It measures how much room there is
# across the floor. A heat bath fills places as $e^{-F/T}$, which here is $1/\sqrt h$: where the walls are sixteen times
# as steep, walkers are four times rarer, at *every* temperature. Read backwards, a count gives the energy,
# $F = -T \ln(\text{count})$, up to a constant. The two curves at the lower left show these two sides.

# %% [markdown]
# ### Check
#
# Exercise 2.2. Write the walker. `x`, `y` are the places across and along the floor, shape (W,); `kicks` has the noise
# of one sample in both directions, (S, 2, W); `h(y)` and `slope(y)` give $h$ and $h'$. The loss is $\tfrac12 h(y)x^2$.
# Return the places `y` after each step, (S, W).

# %%
lesson.hint("2.2")


# %% tags=["exercise"]
def walk(x, y, kicks, learning_rate, batch_size, h, slope):
    places = []
    for kick_x, kick_y in kicks:
        ...  # a step of SGD in both directions
    return ...


lesson.check("2.2", walk)


# %% tags=["solution"]
def walk(x, y, kicks, learning_rate, batch_size, h, slope):
    places = []
    for kick_x, kick_y in kicks / batch_size**0.5:
        across = h(y) * x + kick_x
        along = 0.5 * slope(y) * x**2 + kick_y
        x = x - learning_rate * across
        y = y - learning_rate * along
        places.append(y)
    return torch.stack(places)


lesson.check("2.2", walk)

# %% [markdown]
# Exercise 2.3. Count: sort all places `y` into the bins between `edges`, and return the free energy of each bin, zero
# in the fullest.

# %%
lesson.hint("2.3")


# %% tags=["exercise"]
def free_energy(y, edges, temperature):
    counts = ...  # torch.histogram(values, edges).hist
    return ...


lesson.check("2.3", free_energy)


# %% tags=["solution"]
def free_energy(y, edges, temperature):
    counts = torch.histogram(y.flatten(), edges).hist
    return -temperature * torch.log(counts / counts.max())


lesson.check("2.3", free_energy)

# %% [markdown]
# Together, your two functions measure a free energy that neither of them contains. The floor is a ring here: it has no
# ends.

# %%
lesson.explore("own", walk=walk, free_energy=free_energy)

# %% [markdown]
# ## Round 3: A pinch is not a hill (5 minutes)
#
# ### Predict
#
# There are two barriers in the middle. A *pinch*: the floor is flat, the walls close in. A *hill*: the walls are
# straight, the floor goes up. A cooler crowd has smaller kicks and would be slower too. So let it take a larger $\eta$:
# then on an open floor all crowds get equally far.

# %%
lesson.predict("cooled")

# %% [markdown]
# ### Play
#
# Let both crowds go, and see how many are past the middle after 150 steps. Then cool them as the bet says: the slider
# sets $T$, and with it $\eta$ and $B$. The hill is 0.14 high, the walls of the pinch are 9 times as steep.

# %%
lesson.play("barriers", after="cooled")

# %% [markdown]
# ### Explain
#
# To get past, a walker has to be at the top, and walkers at the top are rarer by
#
# $$e^{-\Delta F/T} = e^{-E/T}\cdot\frac{1}{\sqrt{r}}.$$
#
# $E$ is the height of the floor there, $r$ how many times as steep the walls are. The hill's factor falls quickly as
# $T$ falls. The pinch's factor has no $T$ in it: cold does not close a pinch, heat does not open it. That is an
# *entropic barrier*: it is made of lack of room, not of loss. The stage counts who is past: as you cool, fewer and
# fewer pass the hill, and as many as before pass the pinch.

# %% [markdown]
# ### Check
#
# Exercise 2.4. A place has walls `steeper` times as steep and a floor higher by `height`. How many times as many
# walkers are there, compared with the open floor? (Below one: fewer.)

# %%
lesson.hint("2.4")


# %% tags=["exercise"]
def share(steeper, height, temperature):
    return ...  # your line


lesson.check("2.4", share)


# %% tags=["solution"]
def share(steeper, height, temperature):
    return torch.exp(torch.tensor(-height / temperature)) / steeper**0.5


lesson.check("2.4", share)

# %% [markdown]
# ## Key points
#
# - A walker drifts on a flat floor: noise keeps it at a distance, where the loss rises towards the narrow part, so the
#   mean push points to the wide part. Without noise there is no push.
# - What it feels is the free energy $F = \tfrac T2 \ln h$, which counts room and not loss.
# - A narrow place is not a hill: a hill is harder to pass in the cold, a pinch is equally hard at every temperature.
#
# **How sure were you?** Dots on the line: you were right as often as you were sure. Below it: more sure than right.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The noise here is equally strong in all directions and everywhere: a heat bath. SGD's noise is not; lesson 03 shows
#   what changes.
# - The push is a mean over many steps. The walker has to settle across the floor faster than it moves along it.
# - Steps must be small against the walls, $\eta h \ll 2$. At $\eta h = 0.64$ the spread in the neck is already half as
#   large again, and the push with it; the theory lines of the pictures include that, the formulas above do not.
# - "Temperature" is an analogy: it names the strength of the kicks. Nothing here is warm.
# - The paper writes $T \ln h$, because it uses another convention for $T$.
#
# ## Terms used
#
# *Free energy* $F$: the energy whose slope is the mean push. *Entropic*: made of room, not of loss. *Heat bath*: noise
# of equal strength in all directions and at all places. *Control*: the same run without the thing that is claimed to
# matter.
#
# ## Next
#
# [03 · Tug-of-war](03_tug_of_war.ipynb): tilt the floor against the push.
