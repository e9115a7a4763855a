# %% [markdown]
# # 04 · Two minima, one road
#
# *45 minutes. You need: lessons 01 to 03, and to have trained a network once.*
#
# A and B are two networks, trained on the same handwritten digits from two random starts.
# Every point of the picture is a network too. Run all cells, then walk from A to B: on the straight line, then on the
# road. What do the networks on the way read?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("04")

# %%
lesson.explore("walk")

# %% [markdown]
# So far a point had two coordinates. From here on a point $\theta$ is a whole network: the list of all its 3,466
# weights and biases. The picture is a flat cut through a space of 3,466 directions.

# %% [markdown]
# ## Questions
#
# - Are two minima that were trained apart separated by a hill?
# - How does one find a way round it, and can a method fool us?
# - Is the hill there only because the two networks name their units differently?

# %% [markdown]
# ## You will be able to
#
# - read a barrier off a list of losses (check 4.1)
# - write down the force of a nudged elastic band (check 4.2)
# - count how many networks are one function (check 4.3)

# %% [markdown]
# ## Round 1: The hill (12 minutes)
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
# Step through the five pairs. Compare the dashed line with the full one, and read the panels on the right.
# Then press the button: it trains two networks that nobody has seen before, and draws the line between them while
# they learn. Watch the hill stay while the ends sink.

# %%
lesson.explore("hill", after="hill")

# %% [markdown]
# ### Explain
#
# Training lowers, over all $N$ digits with cross-entropy $\ell_i$,
#
# $$L(\theta) = \frac1N \sum_i \ell_i(\theta) + \tfrac12\lambda\,\|\theta\|^2, \qquad \lambda = 0.0005.$$
#
# At the ends the first term is about 0.003 and the second 0.027; for a hill only the first matters much.
#
# *Position* on a path is the share of its length that lies behind: 0 is A, 1 is B. So one position on the line and on
# the road means two different networks. The *barrier* is the climb above the higher end,
#
# $$\max_{\text{path}} L - \max(L_A, L_B).$$
#
# On the five lines it is 0.44 to 0.97; on the five roads no measured point lies above the higher end. A hill on one
# path says nothing about other paths.

# %% [markdown]
# ### Check
#
# `barrier(losses)` takes the losses along a path, from one end to the other, and returns the barrier.

# %%
lesson.hint("4.1")


# %% tags=["exercise"]
def barrier(losses):
    return ...


lesson.check("4.1", barrier)


# %% tags=["solution"]
def barrier(losses):
    return max(losses) - max(losses[0], losses[-1])


lesson.check("4.1", barrier)

# %% [markdown]
# ## Round 2: A band that relaxes (12 minutes)
#
# ### Predict
#
# To find a road, lay a *band* of networks, the pivots, from A to B and let each go downhill across the band.
# One such step of all pivots is a *sweep*.

# %%
lesson.predict("relax")

# %% [markdown]
# ### Play
#
# The string method has no springs and spaces its pivots anew. NEB has springs. AutoNEB is NEB that inserts pivots where
# the loss bulges between two (a *scallop*). A Bezier curve has a few control points in place of pivots.
#
# Move *sweeps* from 0 to 600. Then try the other methods and the other first guesses; *all four* shows them together.
# The bands are recorded; the button relaxes the same band while you watch. One guess passes near the network whose
# weights are all zero. Which method copes worst with that?

# %%
lesson.explore("band", after="relax")

# %% [markdown]
# Why does such a band need care? In two dimensions one can see it. Here the mountain pass between two minima is known.
# Leave out one part of the method NEB at a time, then step through the sweeps.

# %%
lesson.explore("mistakes")

# %% [markdown]
# ### Explain
#
# A nudged elastic band (NEB) moves a pivot by
#
# $$F = -\nabla L + (\nabla L\cdot\tau)\,\tau + k\,(d_+ - d_-)\,\tau.$$
#
# $\tau$ is the unit tangent, $d_\pm$ are the gaps to the neighbours, $k$ is the strength of the springs. The loss acts
# *across* the band, springs *along* it. Without this projection pivots slide down to the ends, and the rest cuts the
# corner. On a slope $\tau$ points to the higher neighbour; with the secant of both neighbours the band kinks.
#
# From the straight guess all four methods find nearly the same road: the mean distance of two of them is 0.3 to 1.1,
# at lengths of 16 to 21. From the far guess they find other ways.

# %% [markdown]
# ### Check
#
# `neb_force(gradient, tangent, ahead, behind, spring)` returns the force on one pivot as a tensor.

# %%
lesson.hint("4.2")


# %% tags=["exercise"]
def neb_force(gradient, tangent, ahead, behind, spring):
    return ...


lesson.check("4.2", neb_force)


# %% tags=["solution"]
def neb_force(gradient, tangent, ahead, behind, spring):
    across = gradient - (gradient @ tangent) * tangent
    return spring * (ahead - behind) * tangent - across


lesson.check("4.2", neb_force)

# %% [markdown]
# ## Round 3: Only a relabelling? (12 minutes)
#
# ### Predict
#
# Swap two units of a hidden layer, with all their weights: the function stays, $\theta$ does not.

# %%
lesson.predict("names")

# %% [markdown]
# ### Play
#
# Compare the line to B with the line to the relabelled B. Then take the control: the line from A to A itself, with its
# units shuffled at random. Choose *all five* and read the sentence, the widths too.

# %%
lesson.explore("match", after="names")

# %% [markdown]
# ### Explain
#
# *Weight matching* looks for the renaming $\pi$ of the hidden units of B that brings it closest to A:
#
# $$\min_\pi \|\theta_A - \pi(\theta_B)\|.$$
#
# It leaves 1.6 to 2.7 % of the hill; other starts of the matching up to 3.1 %. The shuffled A is the control:
# one function at both ends, a hill about as high. So most of this hill is a matter of names.
#
# Yet on the matched line the objective still rises 1.4 to 1.8 times, and the trace of the Hessian, the sum of all
# curvatures, 4.2 to 5.4 times. The road to the relabelled B is half as long, flat in loss, and narrower in its middle:
# 1.4 to 1.5 times, against 1.8 to 2.3 on the first road.

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
# - On the straight line between two trained networks the objective rises to 16 to 34 times that of the ends. On a bent
#   road it does not rise at all. The two minima lie in one valley.
# - A band of networks finds the road. It needs the projection and the right tangent. What it finds depends on where it
#   begins: there is not one low road but many, and near zero weights AutoNEB lost its way.
# - Relabelling units takes away 97 to 98 % of the hill. What is left is low but narrow.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One small network on easy digits, five pairs, one way of training. In other networks matching may leave much more.
# - The plane is right at three points of the road only. A road that looks as if it crossed dark ground passes above or
#   below it in other directions.
# - A road found by a method need not be one that SGD takes. Lesson 06 lets SGD go on it.
# - 600 sweeps are few. From the far guess the string and NEB go on sinking: after 3,000 sweeps they rise by at most
#   0.0044 above the higher end, and lie still 2.8 to 6.1 from the other road. AutoNEB with longer or gentler runs was
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
# No hill on the road. Then why should noise not wander along it? [The bump in the road](05_bump.ipynb) asks that of a
# network whose layers are normalised, so that scale can be put aside.
