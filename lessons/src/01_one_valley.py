# %% [markdown]
# # 01 · One valley, one walker
#
# *30 minutes. You need: gradients, the idea of SGD, variance and standard deviation. Lesson 00 helps.
# All symbols are on [one page](../docs/site/symbols.md).*
#
# This valley has a flat floor, and its walls form a parabola. A *walker* is a point that SGD moves: it steps downhill,
# and each step comes with noise. Run all cells (menu *Run*, *Run All Cells*), press Play and drag the sliders. Beside
# the crowd you see its control, without noise. **The pushes go left as often as right. Why doesn't the crowd stay at
# the bottom?**

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("01")
lesson.play("hook")

# %% [markdown]
# ## Questions
#
# - Does noise with mean zero average out?
# - How do batch size and learning rate act together?
# - How long can a step be?

# %% [markdown]
# ## You will be able to
#
# - write a step of SGD with noise, and let it walk (check 1.1)
# - measure the temperature of a cloud of walkers, with its error (check 1.2)
# - find where steps become too long (check 1.3)

# %% [markdown]
# ## Round 1: Noise does not average out (9 minutes)
#
# Across the valley the loss is $\tfrac12 h x^2$. Here $x$ is the distance from the floor, and the *curvature* $h$ says
# how steep the walls are. Along the floor nothing changes; that comes in lesson 02.
#
# One step of SGD is $x' = x - \eta\,(h x + \xi)$. Here $\eta$ is the learning rate and $\xi$ is the noise of the
# gradient. The noise of one sample has mean zero and standard deviation $s$; here $s = 1$. Averaging a batch of $B$
# samples divides its variance by $B$.
#
# ### Predict
#
# Say what you expect before you look. A wrong answer costs nothing, and we remember what surprised us.

# %%
lesson.predict("average")

# %% [markdown]
# ### Play
#
# Press **Play**: all walkers start at the bottom, and both crowds get the same random draws. The noise is *isotropic*:
# equally strong in all directions and at all places.
#
# 1. At about which step does the mean of $x^2$ stop growing?
# 2. Change $B'$, the batch size on the right, then $\eta$. Which change widens a cloud, and by how much?
# 3. Put *another curvature* beside it, then *no noise*, the control. How much narrower is each cloud?

# %%
lesson.play("bowl", after="average")

# %% [markdown]
# ### Explain
#
# Look at the late steps. The mean of $x$ is zero there, but the mean of $x^2$ is not: the pushes average out, but their
# squares do not.
#
# A step multiplies $x$ by $1 - \eta h$: the wall pulls back. Then it adds a kick of variance $\eta^2 s^2 / B$. In a
# settled cloud the two balance:
#
# $$\mathrm{Var} = (1 - \eta h)^2\,\mathrm{Var} + \frac{\eta^2 s^2}{B}.$$
#
# Solve for the variance:
#
# $$\mathrm{Var} = \frac{\eta s^2}{B\,h\,(2 - \eta h)}.$$
#
# The dashed curve in the picture is a Gaussian of this variance, once the crowd has settled. It has no free constant,
# and the bars fill it. Early kicks are forgotten and new ones come, so the width neither shrinks nor grows.

# %% [markdown]
# ### Check
#
# Exercise 1.1. Write the walker. `x` holds the places of all W walkers, shape (W,). `kicks` has the noise of one
# sample, a row for each of the S steps, shape (S, W). Return the places after each step, shape (S, W).

# %%
lesson.hint("1.1")


# %% tags=["exercise"]
def walk(x, kicks, learning_rate, batch_size, curvature):
    places = []
    for kick in kicks:
        ...  # a step of SGD, and keep the place
    return ...


lesson.check("1.1", walk)


# %% tags=["solution"]
def walk(x, kicks, learning_rate, batch_size, curvature):
    places = []
    for kick in kicks:
        gradient = curvature * x + kick / batch_size**0.5
        x = x - learning_rate * gradient
        places.append(x)
    return torch.stack(places)


lesson.check("1.1", walk)

# %% [markdown]
# Now your function makes the picture. Run this cell again whenever you change it, right or wrong.

# %%
lesson.explore("own", walk=walk)

# %% [markdown]
# ## Round 2: One number for two knobs (6 minutes)
#
# The law of round 1 has two knobs that people turn in practice, $\eta$ and $B$. Do they act separately, or as one?
#
# ### Predict

# %%
lesson.predict("double")

# %% [markdown]
# ### Play
#
# The left panel shows $h$ times the mean of $x^2$, the right one the cloud itself. The noise is isotropic again.
#
# 1. Pin the first run. Double $\eta$, then double $B$. Compare the two clouds.
# 2. Change $h$ alone. The width of the cloud changes; does the point move?
# 3. The button measures 48 settings. Which ones leave the line, and which way?

# %%
lesson.explore("collapse", after="double")

# %% [markdown]
# ### Explain
#
# For small steps $2 - \eta h$ is nearly 2. Then all settings lie on one line of the left picture:
#
# $$h\,\mathrm{Var} = T, \qquad T = \frac{\eta s^2}{2B}.$$
#
# $T$ is called a *temperature*. In a heat bath of temperature $T$ the mean energy $\tfrac12 h x^2$ of a spring is
# $T/2$, whatever its stiffness; the same holds here.
#
# It is an analogy, and it has limits. No heat bath drives a network: equally strong noise everywhere is our choice
# in this lesson. And points with large $\eta h$ lie above the line, as the exact law says they must.

# %% [markdown]
# ### Check
#
# Exercise 1.2. Measure it: `places` is what `walk` returns. Return $h\langle x^2\rangle$ over the second half of the
# steps, and its standard error over walkers.

# %%
lesson.hint("1.2")


# %% tags=["exercise"]
def heat(places, curvature):
    late = ...  # the second half of the rows
    each = ...  # one number for each walker
    return [..., ...]


lesson.check("1.2", heat)


# %% tags=["solution"]
def heat(places, curvature):
    late = places[len(places) // 2 :]
    each = curvature * late.square().mean(0)
    return [each.mean(), each.std() / len(each) ** 0.5]


lesson.check("1.2", heat)

# %% [markdown]
# ## Round 3: The cliff (9 minutes)
#
# A hotter walker spreads further. How far can this go? From here on only the product $\eta h$ matters: it is the share
# of the distance that one step takes back.
#
# ### Predict

# %%
lesson.predict("cliff")

# %% [markdown]
# ### Play
#
# The batch size is 16 and $h = 1$, so $\eta h$ is the learning rate. The noise is isotropic. Go up one option at a
# time.
#
# 1. Where do the exact law and the small-step law part?
# 2. At $\eta h = 1$ and at $1.8$, look at the single walker: where does it change sides at nearly every step?
# 3. What is different at 2, and just above it?

# %%
lesson.explore("cliff", after="cliff")

# %% [markdown]
# ### Explain
#
# One step multiplies the distance by $1 - \eta h$; the right panel shows how. Up to $\eta h = 1$ the walker comes
# closer. Beyond 1 it overshoots and lands on the other side, still closer. At 2 it lands as far away as it was, and
# beyond 2 further:
#
# $$|1 - \eta h| < 1 \iff \eta < \frac{2}{h}.$$
#
# This limit is called the *edge of stability*. In the left picture the exact law rises without bound towards it,
# because the kicks are hardly taken back. At the edge itself the variance grows with every step, a random walk. Past it
# the distance grows like compound interest.

# %% [markdown]
# ### Check
#
# Exercise 1.3. Find the edge in a valley of curvature $h$ to 1 %, without the formula: let one walker go without noise,
# see whether it comes closer, and halve the interval that holds the edge.

# %%
lesson.hint("1.3")


# %% tags=["exercise"]
def largest_learning_rate(curvature):
    low, high = 0.0, 100.0
    for _ in range(40):
        ...  # try the middle
    return ...


lesson.check("1.3", largest_learning_rate)


# %% tags=["solution"]
def largest_learning_rate(curvature):
    low, high = 0.0, 100.0
    for _ in range(40):
        middle, x = (low + high) / 2, 1.0
        for _ in range(100):
            x = x - middle * curvature * x
        if abs(x) < 1:
            low = middle
        else:
            high = middle
    return low


lesson.check("1.3", largest_learning_rate)

# %% [markdown]
# ## Key points
#
# - Noise with mean zero does not average out. It keeps a cloud of fixed width, where its kicks balance the pull of the
#   walls.
# - Batch size and learning rate act through one number, $\eta/B$, as long as $\eta h$ is small. It works like a
#   temperature: the variance is $T/h$ with $T = \eta s^2 / 2B$.
# - A step can be as long as $\eta = 2/h$. Near that edge the spread grows without bound; past it the walker falls off.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - **The curvature is constant here.** In a network it changes along the way. Full-batch training often drives it up to
#   $2/\eta$ and then stays near that edge (Cohen et al. 2021), which no parabola can do.
# - **The noise is the same everywhere here.** The noise of mini-batches depends on the place and on the direction.
#   Lesson 03 compares two shapes.
# - **There is one direction here.** With many, the steepest decides: the limit is $2/\lambda_{\max}$, where
#   $\lambda_{\max}$ is the largest curvature.
# - **There is no momentum here.** With momentum $m$ the temperature is $\eta s^2 / (2B(1 - m))$ for small steps, and
#   the edge moves to $2(1 + m)/h$: at $m = 0.9$ that is $3.8/h$.

# %% [markdown]
# ## Terms used
#
# - **Curvature** $h$: second derivative of the loss across the valley; loss per length squared.
# - **Noise scale** $s$: standard deviation of the gradient noise of one sample.
# - **Isotropic noise**: equally strong in all directions.
# - **Temperature** $T = \eta s^2 / 2B$: the variance of the cloud times the curvature, for small steps; an analogy.
# - **Edge of stability**: $\eta h = 2$; longer steps overshoot by more than they correct.

# %% [markdown]
# ## Next
#
# So far nothing has happened along the floor. In [lesson 02](02_flat_floor.ipynb) the walls tighten along a floor that
# stays at zero loss, and the walkers begin to move.
