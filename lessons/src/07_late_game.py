# %% [markdown]
# # 07 · The late game
#
# *45 minutes. You need: lessons 03 (the push of shaped noise), 04 (barriers) and 05 (tr H).*
#
# Two networks share their first $k$ steps of training. Then they part: same data, other batches.
# At the end we walk from one to the other on a straight line. Move $k$ and watch the hill go.
# When it is gone, is training over?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("07")

# %%
lesson.explore("hill")

# %% [markdown]
# All numbers on this page are recorded, unless you press *Run it live*: real digits, a small network, eight trunks.

# %% [markdown]
# ## Questions
#
# - Which barrier between siblings goes first, the loss or the curvature?
# - Does curvature ever push harder than the loss?
# - When is the mean of two networks better than either?

# %% [markdown]
# ## You will be able to
#
# - measure a barrier on a curve (check 7.1)
# - tell what the verdict owes to the scale one divides by (check 7.2)
# - turn curvature into a height in units of the loss (check 7.3)
# - find from which $k$ on a barrier, or a gain, has gone (check 7.4)

# %% [markdown]
# ## Round 1: Two barriers (12 minutes)
#
# ### Predict
#
# You saw the hill in the loss. The curvature $\operatorname{tr} H$ has a hill too. Make a bet.

# %%
lesson.predict("order")

# %% [markdown]
# ### Play
#
# Move $k$. Then leave it at 480 and switch what the barriers are divided by. Then change the task: fewer wrong labels,
# none at all, squared loss. Look at the panel below right each time. The button trains one family now.

# %%
lesson.explore("barriers", after="order")

# %% [markdown]
# ### Explain
#
# A barrier is the highest point less the higher end. Divided by its height at $k = 0$, the loss barrier falls first,
# as the paper finds on larger networks. Divided by the curve at the ends, the order is the reverse. With no wrong
# label both go together. Squared loss has no curvature barrier at all.
#
# Below right is the reason: on these lines, for all $k$, all points lie near one curve,
#
# $$\operatorname{tr} H \approx f(L), \qquad f \text{ steep at first, then bent over.}$$
#
# An example right with probability $p$ has the loss $-\ln p$, which has no limit; its curvature, $p(1-p)$ for two
# classes, has one. A tall hill in $L$ is a flattened one in $\operatorname{tr} H$: "later" is the bend of $f$.

# %% [markdown]
# ### Check
#
# `barrier(curve)` takes a list of values along a line and returns the height of its barrier.

# %%
lesson.hint("7.1")


# %% tags=["exercise"]
def barrier(curve):
    return ...


lesson.check("7.1", barrier)


# %% tags=["solution"]
def barrier(curve):
    return max(curve) - max(curve[0], curve[-1])


lesson.check("7.1", barrier)

# %% [markdown]
# `relative(barrier, first, end, scale)` puts a barrier on the scale `"share"` (of its height at $k = 0$) or `"ends"`.

# %%
lesson.hint("7.2")


# %% tags=["exercise"]
def relative(barrier, first, end, scale):
    return ...


lesson.check("7.2", relative)


# %% tags=["solution"]
def relative(barrier, first, end, scale):
    return barrier / first if scale == "share" else barrier / end


lesson.check("7.2", relative)

# %% [markdown]
# ## Round 2: One unit for both (12 minutes)
#
# ### Predict
#
# Dividing gave two verdicts. Physics has a third way: SGD's noise turns curvature into a height in units of the loss.

# %%
lesson.predict("force")

# %% [markdown]
# ### Play
#
# Start at $B = 16$, the batch size of the training, and go through $k$. Then take smaller and larger batches.
# Where does the ratio pass 1? Try *as at step k* too: the learning rate falls during training.

# %%
lesson.explore("slopes", after="force")

# %% [markdown]
# ### Explain
#
# Lesson 03: noise shaped like the curvature pushes with $\tfrac{T}{2}\,h'$. With many directions $h$ becomes
# $\operatorname{tr} H$. The variance of one sample's gradient, $\operatorname{tr} C$, gives the temperature
# at each point of the line:
#
# $$\text{entropic rise} = \int \tfrac{T}{2}\, d\operatorname{tr} H, \qquad
# T = \frac{\eta}{2B(1-m)}\,\frac{\operatorname{tr} C}{\operatorname{tr} H}.$$
#
# The integral goes from an end to the middle. At $B = 16$ the ratio to the loss rise is 0.3 at $k = 0$,
# about 0.65 from 240 to 480, and 0.4 at 720. "First the loss, then the entropy" is half of what we find:
# the entropic share grows, and falls again, since late siblings are nearly the same network. With $B = 4$ entropy
# leads for every $k$ at which there is a rise.

# %% [markdown]
# ### Check
#
# `rise(trace, temperature)` takes $\operatorname{tr} H$ and $T$ at the same points from an end of a line to its middle.
# It returns the entropic rise, with the mean of $T$ on each stretch between two points.

# %%
lesson.hint("7.3")


# %% tags=["exercise"]
def rise(trace, temperature):
    return ...


lesson.check("7.3", rise)


# %% tags=["solution"]
def rise(trace, temperature):
    stretches = range(len(trace) - 1)
    return sum((temperature[i] + temperature[i + 1]) / 4 * (trace[i + 1] - trace[i]) for i in stretches)


lesson.check("7.3", rise)

# %% [markdown]
# ## Round 3: The mean of two (10 minutes)
#
# ### Predict
#
# Stochastic weight averaging and model soups take the mean of several networks' weights. When is that wise?

# %%
lesson.predict("mean")

# %% [markdown]
# ### Play
#
# Press *Pin this run* at $k = 0$, then look at two strangers: two networks that share not even their start.
# Go through $k$ with siblings. Then change the share of redrawn labels.

# %%
lesson.explore("average", after="mean")

# %% [markdown]
# ### Explain
#
# The mean is the middle of the line,
#
# $$\bar\theta = \tfrac12(\theta_1 + \theta_2).$$
#
# For strangers it loses 32 ± 3 points of test accuracy: averaging ruins them. Siblings of step 0 have a hill of
# training loss between them too, yet their mean gains 6.5 ± 0.5 points. The gain grows with the share of redrawn
# labels: 0.1 ± 0.3 with none, 2.5 ± 0.4 with 20 %. It shrinks as children part later, and is gone at $k = 1440$:
# two equal networks have nothing to average.
#
# So a barrier in *training* loss does not tell what a mean is worth on *new* data.

# %% [markdown]
# ### Check
#
# `falls(k, height, share)` takes a list of steps and a height at each: a barrier, or a gain. It returns the first of
# these steps from which on the height stays below `share` times that at the first step. Which of three goes first?

# %%
lesson.hint("7.4")


# %% tags=["exercise"]
def falls(k, height, share):
    return ...


lesson.check("7.4", falls)


# %% tags=["solution"]
def falls(k, height, share):
    above = [place for place, value in enumerate(height) if value >= share * height[0]]
    return k[above[-1] + 1]


lesson.check("7.4", falls)

# %% [markdown]
# ## Key points
#
# - It depends on the scale. As shares of their height at $k = 0$ the loss barrier falls first, by about 280 steps with
#   40 % of the labels redrawn; over the ends the curvature barrier falls first, by about 190. On these lines
#   $\operatorname{tr} H$ follows the loss on one bent curve, and that bend is the order.
# - In one unit: at $B = 16$ the loss rise stays the larger for every $k$; the entropic rise reaches about two thirds
#   of it. At a quarter of the batch size it leads.
# - When the two are near enough to be joined and far enough to differ: siblings, not strangers; and here only where
#   training labels are wrong.
# - A flat loss does not mean that training is over. Siblings of step 720 have hardly a barrier left, 0.009, yet they
#   end 5.6 apart, and their mean still gains 1.1 ± 0.3 points.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One small network on 600 digits. On all 1,297 digits with weight decay, and on nets of other widths and depths, most
#   of what we tried gave no clear order: the hills were low, or four to eight trunks too few.
# - Straight lines only. Between siblings of small $k$ there are lower roads, see lesson 04.
# - The order is what the bend of $f$ makes of the loss barrier. On the normalised network of lessons 05 and 06 it is
#   the other one. Of the barriers at $k = 0$ there are left, at $k = 15$ of 4,005 steps, $45 \pm 4$ % of the loss and
#   $8 \pm 8$ % of the trace; at $k = 30$ $26 \pm 1$ % and none (norms matched along the line; so
#   on four trunks of five at 15, and on all five at 30).
# - The entropic rise takes noise as shaped like the curvature, with one temperature in all directions at a point. Real
#   noise is not: see the measured forces of lesson 06. It is for steps of the same $\eta$ at every $k$; the last steps
#   of training are much colder.
# - The gain by averaging was found with wrong labels. With right ones there is none beyond the error.

# %% [markdown]
# ## Terms used
#
# - **siblings**: two networks with the first $k$ steps in common
# - **strangers**: two networks from two starts
# - **barrier**: highest point of a curve less its higher end
# - **entropic rise**: what noise makes of a rise in $\operatorname{tr} H$, in units of the loss
# - **weight averaging**: taking the mean of several networks' weights, as in SWA and model soups

# %% [markdown]
# ## Next
#
# All ends of this lesson fit the training data. Are all such minima equal?
# [Good valleys, bad ridges](08_bad_valleys.ipynb)
