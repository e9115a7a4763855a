# %% [markdown]
# # 04 · Two minima, one road
#
# *30 minutes. You need: lessons 01 to 03, and to have trained a network once.*
#
# A and B are two networks, trained on the same handwritten digits from two random starts. Every point of the picture is
# a network too. Run all cells, then go from A to B: the red dot takes the straight line, the blue one a bent road. How
# well do the networks on the way read digits?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("04")

# %%
lesson.explore("walk")

# %% [markdown]
# So far a point had two coordinates. From here on a point $\theta$ is a whole network: the list of all its 3,466
# weights and biases. The picture is a flat cut through a space of 3,466 dimensions.

# %% [markdown]
# ## Questions
#
# - Is there a hill between two minima that were trained separately?
# - How does one find a way round it, and can a method fool us?
# - Is the hill there only because the two networks name their units differently?

# %% [markdown]
# ## You will be able to
#
# - measure the hill between two networks (check 4.1)
# - write a sweep of the string method, and find a road with it (check 4.2)
# - count how many networks compute the same function (check 4.3)

# %% [markdown]
# ## Round 1: The hill (6 minutes)
#
# ### Predict
#
# The networks have 64 inputs, two hidden layers of 32 units, and 10 outputs. Training lowered the *objective*: the
# loss on 1,297 digits (cross-entropy) plus a small multiple of the squared length of $\theta$ (weight decay).

# %%
lesson.predict("hill")

# %% [markdown]
# ### Play
#
# Step through the five pairs. Compare the dashed line with the solid one, and read the panels on the right.
# Then press the button: it trains two networks that nobody has seen before, and draws the line between them while
# they learn. Watch the ends sink while the hill stays.

# %%
lesson.explore("hill", after="hill")

# %% [markdown]
# ### Explain
#
# With the cross-entropy $\ell_i$ of digit $i$, training lowers
#
# $$L(\theta) = \frac1N \sum_i \ell_i(\theta) + \tfrac12\lambda\,\|\theta\|^2, \qquad \lambda = 0.0005.$$
#
# At the ends the first term is about 0.003 and the second 0.027; on a hill the first is by far the larger.
#
# The *position* on a path is the share of its length covered so far: 0 is A, 1 is B. One position on the line and the
# same position on the road are two different networks. The *barrier* of a path is how far you must climb above its
# higher end. On the five lines it is 0.44 to 0.97; on the five roads no measured point lies above the higher end. A
# hill on one path says nothing about other paths.

# %% [markdown]
# ### Check
#
# `hill(loss, a, b)` looks at 25 evenly spaced points on the straight line from `a` to `b`, both ends included, and
# returns its barrier. `loss` takes points of shape (n, D) and returns n losses.

# %%
lesson.hint("4.1")


# %% tags=["exercise"]
def hill(loss, a, b):
    return ...


lesson.check("4.1", hill)


# %% tags=["solution"]
def hill(loss, a, b):
    share = torch.linspace(0, 1, 25)[:, None]
    losses = loss(a + share * (b - a))
    return losses.max() - torch.maximum(losses[0], losses[-1])


lesson.check("4.1", hill)

# %% [markdown]
# ## Round 2: A band that relaxes (12 minutes)
#
# ### Predict
#
# To find a road, lay a *band* of networks, the pivots, from A to B and let each go downhill.
# One such step of all pivots is a *sweep*.

# %%
lesson.predict("relax")

# %% [markdown]
# ### Play
#
# After each step the string method spaces its pivots evenly again. A nudged elastic band (NEB) has springs instead;
# AutoNEB is an NEB that inserts pivots where the loss bulges between two (a *scallop*). A Bezier curve has a few
# control points.
#
# Move *sweeps* from 0 to 600. Then try the other methods and the other first guesses; *all four* shows them together.
# One guess passes near the network whose weights are all zero. Which method copes worst with that?

# %%
lesson.explore("band", after="relax")

# %% [markdown]
# ### Explain
#
# A step downhill moves a pivot across the band, which is wanted, and along it towards an end, which is not. The string
# method lets both happen, and then spaces the pivots evenly along the band again. NEB removes the second part, and
# moves a pivot by
#
# $$F = -\nabla L + (\nabla L\cdot\tau)\,\tau + k\,(d_+ - d_-)\,\tau,$$
#
# with the unit tangent $\tau$, the gaps $d_\pm$ to both neighbours, and springs of strength $k$. Without this
# *projection* some pivots slide down to the ends, and the others cut the corner.
#
# From the straight guess all four methods find nearly the same road: any two are 0.3 to 1.1 apart on average, and they
# are 16 to 21 long. From the far guess they find other roads.

# %% [markdown]
# ### Check
#
# Write the string method yourself. `sweep(pivots, gradients, step)` takes P pivots and the gradients at them, (P, D)
# each. The two ends stay. The others take a step down their gradients; then all P are spaced evenly along the bent line
# through them.

# %%
lesson.hint("4.2")


# %% tags=["exercise"]
def sweep(pivots, gradients, step):
    return ...


lesson.check("4.2", sweep)


# %% tags=["solution"]
def sweep(pivots, gradients, step):
    moved = pivots.clone()
    moved[1:-1] -= step * gradients[1:-1]
    gaps = (moved[1:] - moved[:-1]).norm(dim=1)
    marks = torch.cat([gaps.new_zeros(1), gaps.cumsum(0)])
    even = torch.linspace(0, 1, len(moved)).to(marks) * marks[-1]
    right = torch.searchsorted(marks, even).clamp(1, len(moved) - 1)
    share = (even - marks[right - 1]) / gaps[right - 1]
    return moved[right - 1] + share[:, None] * (moved[right] - moved[right - 1])


lesson.check("4.2", sweep)

# %% [markdown]
# Now your function moves the band, in a two-dimensional valley whose saddle is known. Step through the sweeps, then
# compare it with NEB, and with an NEB that lacks one part. (Until yours is written, the library's stands in.)

# %%
lesson.explore("mistakes", yours=sweep)

# %% [markdown]
# The same function does not care how many dimensions there are. The button relaxes 16 networks with 600 of *your*
# sweeps, on batches of 256 digits, beside the recorded string.

# %%
lesson.explore("band", yours=sweep)

# %% [markdown]
# ## Round 3: Only a relabelling? (7 minutes)
#
# ### Predict
#
# Swap two units of a hidden layer, with all their weights: the function stays the same, $\theta$ does not.

# %%
lesson.predict("names")

# %% [markdown]
# ### Play
#
# Compare the line to B with the line to the relabelled B. Then take the control: the line from A to a copy of A with
# its units shuffled at random. Choose *all five*, and read in the sentence how the curvature changes.

# %%
lesson.explore("match", after="names")

# %% [markdown]
# ### Explain
#
# *Weight matching* looks for the renaming $\pi$ of the hidden units of B that brings it closest to A:
#
# $$\min_\pi \|\theta_A - \pi(\theta_B)\|.$$
#
# It leaves 1.6 to 2.7 % of the hill; from other starts, up to 3.1 %. The shuffled A is the control: one function at
# both ends, and a hill about as high. So most of this hill is a matter of names.
#
# Yet on the matched line the objective still reaches 1.4 to 1.8 times its ends; the trace of the Hessian, the sum of
# all curvatures, 4.2 to 5.4 times. The road to the relabelled B is half as long and flat in loss, with a trace in its
# middle of 1.4 to 1.5 times (first road: 1.8 to 2.3).

# %% [markdown]
# ### Check
#
# `relabellings(widths)` takes the layer widths, inputs first, and returns how many ways of naming the units there are.

# %%
lesson.hint("4.3")


# %% tags=["exercise"]
def relabellings(widths):
    return ...


lesson.check("4.3", relabellings)


# %% tags=["solution"]
def relabellings(widths):
    number = 1
    for width in widths[1:-1]:
        for choices in range(1, width + 1):
            number *= choices
    return number


lesson.check("4.3", relabellings)

# %% [markdown]
# ## Key points
#
# - There is a hill on the straight line: the objective rises to 16 to 34 times that of the ends. On a bent road it does
#   not rise at all. The two minima lie in one valley.
# - A band of networks finds the road; a dozen lines of code are enough. What it finds depends on where it begins: there
#   is not one low road but many, and near zero weights AutoNEB lost its way.
# - The hill is mostly a matter of names: relabelling units removes 97 to 98 % of it. What is left is low but narrow.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One small network on easy digits, five pairs, one way of training. In other networks matching may leave much more.
# - The plane is exact at only three points of the road. A road that looks as if it crossed high ground passes above or
#   below it in other directions.
# - A road found by a method need not be one that SGD takes. Lesson 06 lets SGD go on it.
# - 600 sweeps are few. From the far guess the string and NEB keep sinking: after 3,000 sweeps they rise by at most
#   0.0044 above the higher end, and still lie 2.8 to 6.1 from the other road. Longer or gentler runs of AutoNEB were
#   not tried.
# - Matching finds a local optimum; a better renaming may exist.
# - The trace was compared at unequal losses. What it means, and whether scale fools it, is the subject of lesson 05.

# %% [markdown]
# ## Terms used
#
# - **θ**: all weights and biases of a network, as one point
# - **objective**: what training lowers, here cross-entropy plus weight decay
# - **barrier**: the highest objective on a path, above its higher end
# - **pivot, sweep**: a point of a band; one step of all of them
# - **scallop**: how far the loss rises between two neighbouring pivots
# - **weight matching**: renaming the units of one network to resemble another's

# %% [markdown]
# ## Next
#
# There is no hill on the road. So what keeps SGD from wandering along it? [The bump in the road](05_bump.ipynb) asks
# this of a network with normalised layers, so that scale can be put aside.
