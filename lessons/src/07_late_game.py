# %% [markdown]
# # 07 · The late game
#
# *30 minutes. You need: lessons 03 (the push of shaped noise), 04 (barriers) and 05 (tr H).*
#
# Two networks, *siblings*, share their first $k$ steps of training. Then they part: same data, different batches. After
# training we walk in a straight line from one to the other. Move $k$ and watch the hill sink, far below that between
# two networks that share nothing, *strangers* (dotted). When it is gone, is training over?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("07")

# %%
lesson.explore("hill")

# %% [markdown]
# All numbers on this page are recorded, unless you press *Run it live*: 600 digits with some labels redrawn, a network
# 64-64-64-10, batches of 16, eight training runs (*trunks*), each with its own seed. From each trunk, two *children*
# part at step $k$. Errors are over the trunks.

# %% [markdown]
# ## Questions
#
# - Which barrier between siblings goes first, the loss or the curvature?
# - Does curvature ever push harder than the loss?
# - When is the mean of two networks better than either?

# %% [markdown]
# ## You will be able to
#
# - measure barriers on many curves at once, on a scale that you choose (check 7.1)
# - tell which barrier goes first, with its error (check 7.2)
# - find the batch size at which noise lifts a line as much as the loss does (check 7.3)
# - say what the mean of several networks is worth (check 7.4)

# %% [markdown]
# ## Round 1: Two barriers (12 minutes)
#
# ### Predict
#
# You saw the hill in the loss. The curvature $\operatorname{tr} H$ has a hill, too. Make a bet.

# %%
lesson.predict("order")

# %% [markdown]
# ### Play
#
# Move $k$. Then leave it at 480 and switch what the barriers are divided by. Then change the task: fewer wrong labels,
# none at all, squared loss. Look at the lower right panel each time. The button trains one family now.

# %%
lesson.explore("barriers", after="order")

# %% [markdown]
# ### Explain
#
# A barrier is the highest point minus the higher end. Divided by its height at $k = 0$, the loss barrier falls first,
# as the paper behind this course finds on larger networks. Divided by the value at the ends, the curvature barrier
# does. With no wrong labels both fall together. Squared loss has no curvature barrier at all.
#
# The lower right panel shows why: on these lines, for all $k$, all points lie near one curve,
#
# $$\operatorname{tr} H \approx f(L), \qquad f \text{ steep at first, then bent over.}$$
#
# An example whose label gets probability $p$ has the loss $-\ln p$, which has no limit; its curvature, $p(1-p)$ for two
# classes, has one. So a tall hill in $L$ is flattened in $\operatorname{tr} H$: the bend of $f$ makes it fall "later".

# %% [markdown]
# ### Check
#
# `share(curves)` takes curves along lines, of shape (trunks, k, points). For each k it returns the mean barrier over
# the trunks, as a share of that at the first k.

# %%
lesson.hint("7.1")


# %% tags=["exercise"]
def share(curves):
    return ...


lesson.check("7.1", share)


# %% tags=["solution"]
def share(curves):
    ends = torch.maximum(curves[..., 0], curves[..., -1])
    height = (curves.max(-1).values - ends).mean(0)
    return height / height[0]


lesson.check("7.1", share)

# %% [markdown]
# Your function now makes both curves. Change its last line: divide by something else, and see the order reverse.

# %%
lesson.explore("barriers", yours=share)

# %% [markdown]
# Which barrier goes first, and how sure is that? `order(k, loss, trace)` takes both barriers as shares, (trunks, k)
# each. On a trunk a barrier has gone at the first k from which it stays below 0.1. Return how many steps later the
# curvature barrier goes, the mean over the trunks, and its standard error.

# %%
lesson.hint("7.2")


# %% tags=["exercise"]
def order(k, loss, trace):
    return ...


lesson.check("7.2", order)


# %% tags=["solution"]
def order(k, loss, trace):
    def gone(height):
        above = [place for place, value in enumerate(height) if value >= 0.1]
        return float(k[above[-1] + 1])

    later = torch.tensor([gone(second) - gone(first) for first, second in zip(loss, trace, strict=True)])
    return later.mean(), later.std() / len(later) ** 0.5


lesson.check("7.2", order)

# %% [markdown]
# Is it a law? Your function judges all recorded data sets.

# %%
lesson.explore("race", yours=order)

# %% [markdown]
# ## Round 2: One unit for both (7 minutes)
#
# ### Predict
#
# Dividing gave two verdicts. Physics offers a third way: SGD's noise turns curvature into a height in units of the
# loss.

# %%
lesson.predict("force")

# %% [markdown]
# ### Play
#
# Start at $B = 16$, the batch size used in training, and go through $k$. Then take smaller and larger batches. The
# lower right panel has the batch size at which both rises are equal: below it the entropic rise is larger. Try *as at
# step k*, too: the learning rate falls during training.

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
# The integral goes from an end to the middle. At $B = 16$ its ratio to the loss rise is 0.3 at $k = 0$, about 0.65 for
# $k$ from 240 to 480, and 0.4 at 720. "First the loss, then the entropy" is half of what we find: the entropic share
# grows and then falls again, since late siblings are nearly the same network. At $B = 8$ entropy leads from 240 to 480,
# at $B = 4$ for every $k$ at which there is a rise.

# %% [markdown]
# ### Check
#
# `even(loss, trace, noise, learning_rate, momentum)` takes the loss, tr H and tr C at the same points from an end of a
# line to its middle. It returns the batch size at which the entropic rise equals that of the loss. On each stretch
# between two points, take the mean of T at its ends.

# %%
lesson.hint("7.3")


# %% tags=["exercise"]
def even(loss, trace, noise, learning_rate, momentum):
    return ...


lesson.check("7.3", even)


# %% tags=["solution"]
def even(loss, trace, noise, learning_rate, momentum):
    heat = learning_rate / (2 * (1 - momentum)) * noise / trace
    rise = ((heat[1:] + heat[:-1]) / 4 * trace.diff()).sum()
    return rise / (loss[-1] - loss[0])


lesson.check("7.3", even)

# %% [markdown]
# The points in the lower right panel are now yours.

# %%
lesson.explore("slopes", yours=even)

# %% [markdown]
# ## Round 3: The mean of two (5 minutes)
#
# ### Predict
#
# Stochastic weight averaging and model soups take the mean of several networks' weights. When is that wise?

# %%
lesson.predict("mean")

# %% [markdown]
# ### Play
#
# Press *Pin this run* at $k = 0$, then look at two strangers. Go through $k$ with siblings. Then change the share of
# redrawn labels.

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
# training loss between them, too, yet their mean gains 6.5 ± 0.5 points. The gain grows with the share of redrawn
# labels: 0.1 ± 0.3 with none, 2.5 ± 0.4 with 20 %. It shrinks as children part later, and is gone at $k = 1440$: two
# nearly equal networks have nothing to average.
#
# So a barrier in *training* loss does not tell what a mean is worth on *new* data.

# %% [markdown]
# ### Check
#
# `gain(accuracy, networks)`: `networks` has the shape (n, D), and `accuracy` takes such a stack and returns n
# accuracies. By how many percentage points is the mean of all n more accurate than they are on average?

# %%
lesson.hint("7.4")


# %% tags=["exercise"]
def gain(accuracy, networks):
    return ...


lesson.check("7.4", gain)


# %% tags=["solution"]
def gain(accuracy, networks):
    mean = networks.mean(0, keepdim=True)
    return 100 * (accuracy(mean)[0] - accuracy(networks).mean())


lesson.check("7.4", gain)

# %% [markdown]
# ## Key points
#
# - Which barrier goes first depends on the scale. As shares of their height at $k = 0$ the loss barrier falls first, by
#   about 280 steps with 40 % of the labels redrawn; over the ends the curvature barrier falls first, by about 190. On
#   these lines $\operatorname{tr} H$ follows the loss on one bent curve, and its bend sets the order.
# - In one unit, at $B = 16$, the loss rise is the larger for every $k$; the entropic rise reaches about two thirds of
#   it. At half the batch size entropy already leads between 240 and 480, at a quarter for every $k$.
# - The mean of two is better when they are close enough to be joined and far enough apart to differ: siblings, not
#   strangers, and here only where training labels are wrong.
# - A flat loss does not mean that training is over. Siblings of step 720 have hardly any barrier left, 0.009, yet they
#   end 5.6 apart, and their mean still gains 1.1 ± 0.3 points.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One small network on 600 digits. On all 1,297 digits with weight decay, and on nets of other widths and depths, most
#   of what we tried gave no clear order: the hills were low, or four to eight trunks were too few.
# - Straight lines only. Between siblings of small $k$ there are lower roads; see lesson 04.
# - The bend of $f$ sets the order. On the normalised network of lessons 05 and 06 the order is reversed. At $k = 15$ of
#   4,005 steps $45 \pm 4$ % of the loss barrier at $k = 0$ is left, and $8 \pm 8$ % of the trace barrier; at $k = 30$
#   it is $26 \pm 1$ % and nothing (norms matched along the line; so on four trunks of five at 15, and on all five at
#   30).
# - The entropic rise takes noise to be shaped like the curvature, with one temperature in all directions at a point.
#   Real noise is not: see the measured forces of lesson 06. It holds for steps of the same $\eta$ at every $k$; the
#   last steps of training are much colder.
# - Averaging helped only with wrong labels. With correct ones there is no gain beyond the error.

# %% [markdown]
# ## Terms used
#
# - **siblings**: two networks with the first $k$ steps in common
# - **strangers**: two networks from two starts
# - **barrier**: highest point of a curve minus its higher end
# - **trunk**: the steps that siblings share
# - **entropic rise**: what noise makes of a rise in $\operatorname{tr} H$, in units of the loss
# - **weight averaging**: taking the mean of several networks' weights, as in SWA and model soups

# %% [markdown]
# ## Next
#
# All trained networks of this lesson fit their training data. Are all such minima equal? [Good valleys, bad
# ridges](08_bad_valleys.ipynb)
