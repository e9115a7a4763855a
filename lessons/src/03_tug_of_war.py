# %% [markdown]
# # 03 · Tug-of-war
#
# *25 minutes. You need: lessons 01 and 02 (temperature, free energy), and partial derivatives.
# All symbols are on [one page](../docs/site/symbols.md).*
#
# The floor of this valley slopes down to the left. The walls widen to the right.
# Here is a crowd at a large batch size, and beside it one without noise. Run all cells and press **Play**.
# Both do what you expect. Will they always?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("03")

# %%
lesson.play("cold")

# %% [markdown]
# The page computes what you see: two crowds of 250 walkers with the same random draws and isotropic noise.

# %% [markdown]
# ## Questions
#
# - On a sloping floor, does SGD go downhill on average?
# - Does the answer depend on the shape of the noise?
# - Where does noise carry two weights if every point of a curve fits the data?

# %% [markdown]
# ## You will be able to
#
# - measure with your own walkers which way a crowd goes (check 3.1)
# - find the temperature at which slope and entropy are in balance (check 3.2)
# - tell a heat bath from noise that is shaped like the curvature (check 3.3)
# - write a step of SGD with label noise (check 3.4)

# %% [markdown]
# ## Round 1: Break-even (13 minutes)
#
# ### Predict
#
# The slope pulls to $-y$, the widening walls push to $+y$. Make a bet, then look.

# %%
lesson.predict("turn")

# %% [markdown]
# ### Play
#
# The noise is isotropic. Both crowds start in the middle and stop at step 240, so that you can read the numbers. Each
# has 2,000 walkers, of which 250 are drawn: the mean of a few could not be told from zero.
#
# 1. Press **Play**. Which crowd has moved further down? By how many standard errors?
# 2. Make $B'$ smaller, one step at a time. Between which two values does its crowd turn round?
# 3. Set $B$ to *all data*, the control. How far does the slope alone take it?

# %%
lesson.play("turn", after="turn")

# %% [markdown]
# ### Explain
#
# The floor has the loss $f(y)$, with slope $f'$; the walls have the curvature $h(y)$, with slope $h'$.
# A walker at distance $x$ from the floor feels the slope of the wall too, so that on average
#
# $$\text{force} = -f' - \tfrac12 h'\,\langle x^2\rangle = -f' - \tfrac{T}{2}\,\frac{h'}{h}.$$
#
# The second form is for isotropic noise, where $\langle x^2\rangle = T/h$. The force is zero at
#
# $$T_0 = -2 f'\,\frac{h}{h'}.$$
#
# At $y = 0$ this is $B = 25$. The crowd turns round at a slightly smaller batch: as it spreads, some walkers come to
# places where the walls hardly change. The theory values below the picture include that.
#
# The mean step still goes downhill in the full loss: down the walls.

# %% [markdown]
# ### Check
#
# Exercise 3.1. Which way does a crowd go? `x`, `y`, `kicks`, `h(y)` and `h_slope(y)` are as in lesson 02; `f_slope` is
# $f'$, the same everywhere. Return the mean displacement along the floor and its standard error.

# %%
lesson.hint("3.1")


# %% tags=["exercise"]
def shift(x, y, kicks, learning_rate, batch_size, h, h_slope, f_slope):
    begin = y
    for kick_x, kick_y in kicks:
        ...  # a step of SGD in both directions
    return [..., ...]


lesson.check("3.1", shift)


# %% tags=["solution"]
def shift(x, y, kicks, learning_rate, batch_size, h, h_slope, f_slope):
    begin = y
    for kick_x, kick_y in kicks / batch_size**0.5:
        across = h(y) * x + kick_x
        along = f_slope + 0.5 * h_slope(y) * x**2 + kick_y
        x = x - learning_rate * across
        y = y - learning_rate * along
    moved = y - begin
    return [moved.mean(), moved.std() / len(moved) ** 0.5]


lesson.check("3.1", shift)

# %% [markdown]
# Exercise 3.2. `temperature` holds rising temperatures, `moved` the mean displacement at each. At which temperature is
# it zero? Interpolate linearly between the two neighbours.

# %%
lesson.hint("3.2")


# %% tags=["exercise"]
def break_even(temperature, moved):
    for i in range(len(moved) - 1):
        ...  # find the neighbours
    return ...


lesson.check("3.2", break_even)


# %% tags=["solution"]
def break_even(temperature, moved):
    for i in range(len(moved) - 1):
        if moved[i] < 0 <= moved[i + 1]:
            part = -moved[i] / (moved[i + 1] - moved[i])
            return temperature[i] + part * (temperature[i + 1] - temperature[i])
    return float("nan")  # the crowd turns nowhere


lesson.check("3.2", break_even)

# %% [markdown]
# Together, your two functions find $T_0$ from your own walkers.

# %%
lesson.explore("own", shift=shift, break_even=break_even)

# %% [markdown]
# ## Round 2: Which noise? (5 minutes)
#
# ### Predict
#
# So far noise kicked as hard in every direction and at every place. The noise of real mini-batches does not:
# it is often stronger where the walls are steeper.

# %%
lesson.predict("narrow")

# %% [markdown]
# ### Play
#
# The walls are the same, and the floor is level now: noise alone moves the crowds. With all data, the control, nobody
# moves. Both stop at step 120.
#
# 1. Press **Play**. How many times as far has the right crowd moved, measured and in theory?
# 2. Let both go at the mouth, where $h = 1$. What is the ratio there?
# 3. Let them start all along the floor. Which crowd is as wide in the narrow part as elsewhere?

# %%
lesson.play("shape", after="narrow")

# %% [markdown]
# ### Explain
#
# One sample's noise has the variance $s^2$ if isotropic, and $s^2 h$ across the floor (none along it) if shaped like
# the curvature. The crowds all along the floor showed what follows from that: $\langle x^2\rangle = T/h$ or
# $\langle x^2\rangle = T$. So the push is
#
# $$-\tfrac{T}{2}\,\frac{h'}{h} \quad\text{or}\quad -\tfrac{T}{2}\,h' = -\frac{\eta s^2}{4B}\,h'.$$
#
# The two differ by the factor $h$: where $h = 16$, shaped noise pushes 16 times harder; where $h = 1$, equally. (From
# the mouth the isotropic crowd comes a little further: it spreads to where walls change faster.)
#
# **SGD noise is not a heat bath.** Of these two only isotropic noise has a free energy, and a temperature in the sense
# of physics. For shaped noise $T$ is just a name for $\eta s^2/2B$. Both kinds of noise push to the wide part.

# %% [markdown]
# ### Check
#
# $h'/h$ is the same at two places. `ratio(shape, narrow, wide)` takes the shape, `"isotropic"` or `"curvature"`, and
# $h$ at both places. How many times stronger is the push at the narrow place?

# %%
lesson.hint("3.3")


# %% tags=["exercise"]
def ratio(shape, narrow, wide):
    return ...


lesson.check("3.3", ratio)


# %% tags=["solution"]
def ratio(shape, narrow, wide):
    return 1.0 if shape == "isotropic" else narrow / wide


lesson.check("3.3", ratio)

# %% [markdown]
# ## Round 3: uv = 1 (5 minutes)
#
# ### Predict
#
# The smallest network has two weights and one data point. $L = \tfrac12(uv-1)^2$ is zero all along the curve $uv = 1$.

# %%
lesson.predict("label")

# %% [markdown]
# ### Play
#
# The dashed curve is the floor; the coordinate along it is $y = \ln u$, and $y = 0$ is $u = v = 1$. Both crowds start
# at $u = 2.5$ and stop at step 960. On the right is the control, without noise.
#
# 1. Press **Play**. Where does noise on the label take the crowd, and how sure is its mean?
# 2. Halve $\eta$. Does the crowd move half as far, or less?
# 3. Put *noise on each weight* beside it. What is the same, and what differs?

# %%
lesson.play("balance", after="label")

# %% [markdown]
# ### Explain
#
# With a label $1 + \varepsilon$ the gradient is $(uv - 1 - \varepsilon)\,(v, u)$. The small weight gets the large kick.
# One step gives, exactly,
#
# $$u^2 - v^2 \;\to\; (u^2 - v^2)\,\bigl[1 - \eta^2 (uv - 1 - \varepsilon)^2\bigr].$$
#
# The bracket is below 1 for either sign of $\varepsilon$: noise of mean zero has an effect that does not average out.
# The crowd goes to $u = v$, where the curvature $u^2 + v^2$ is least.
#
# On the floor this noise is shaped like the curvature, as in round 2. The theory in the picture is that law with the
# exact spread. It ignores that the walkers of a crowd differ. Independent kicks on each weight push there too, but
# scatter the crowd along the curve. With all data nothing moves.

# %% [markdown]
# ### Check
#
# Exercise 3.4. Write one step of SGD on $\tfrac12(uv - 1 - \varepsilon)^2$: return the new $u$ and $v$.

# %%
lesson.hint("3.4")


# %% tags=["exercise"]
def label_step(u, v, epsilon, learning_rate):
    return [..., ...]


lesson.check("3.4", label_step)


# %% tags=["solution"]
def label_step(u, v, epsilon, learning_rate):
    error = u * v - 1 - epsilon
    return [u - learning_rate * error * v, v - learning_rate * error * u]


lesson.check("3.4", label_step)

# %% [markdown]
# ## Key points
#
# - SGD's mean step goes downhill in the full loss, walls included. Along the floor it can climb: at large $\eta/B$
#   the push of the walls beats the slope. For isotropic noise the threshold is $T_0 = -2f'h/h'$.
# - The push depends on the shape of the noise. In a heat bath it follows the slope of $\ln h$; in noise shaped like the
#   curvature, the slope of $h$. Both push to the wide part.
# - On $uv = 1$ label noise carries the weights to balance, $u = v$, the point of least curvature. Without noise,
#   walkers stay wherever they land on the curve.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The formulas assume that the cloud across the floor has settled. A crowd that drifts fast still has the spread of
#   where it was.
# - Steps are small. At $\eta h = 2$ the spread has no limit, see lesson 01.
# - The noise of real mini-batches is neither isotropic nor exactly shaped like the curvature.
# - Momentum $m$ changes $\eta$ to about $\eta/(1-m)$; nothing here tested that.
# - A network has thousands of directions. Their pushes add up, and some may point the other way.
# - "Temperature" is an analogy. The push of shaped noise has a potential, $\tfrac{T}{2}h$, yet no free energy: with no
#   noise along the floor, walkers are not found with density $e^{-F/T}$; they all collect where the potential is least.

# %% [markdown]
# ## Terms used
#
# - **break-even temperature** $T_0$: the $T$ at which slope and entropic push cancel
# - **isotropic noise**: equally strong in every direction and at every place; a heat bath
# - **curvature-shaped noise**: its variance across the floor grows with $h$
# - **label noise**: the target is jittered at each step; on the floor it is shaped like the curvature

# %% [markdown]
# ## Next
#
# From toy valleys to networks: do two trained ones lie in one valley or in two?
# [Two minima, one road](04_one_road.ipynb)
