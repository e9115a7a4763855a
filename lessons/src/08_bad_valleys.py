# %% [markdown]
# # 08 · Good valleys, bad ridges
#
# *45 minutes. You need: lessons 04 (roads), 05 (tr H) and 03 (label noise).*
#
# This network reads all 400 of its training digits as they are labelled. Below are digits it has never seen.
# Run all cells, turn the pages, then look at the other network. It has the same training accuracy.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("08")

# %%
lesson.explore("ends")

# %% [markdown]
# The bad network was made bad on purpose. It first learnt the 400 digits together with 400 others whose labels were
# wrong (the poison). Then the poison was dropped, and it was trained on like the good one.
# There is no weight decay in this lesson, but for one control: with it the bad network would not be a minimum.

# %% [markdown]
# ## Questions
#
# - Are all solutions of zero training loss equal?
# - Is the minimum that generalises the flatter one?
# - Which way does noise go between the two, and is that the better way?

# %% [markdown]
# ## You will be able to
#
# - tell what the training loss leaves open, by the gap between two accuracies (check 8.1)
# - say how a trace changes when a layer is rescaled and the function is not (check 8.2)
# - build a measure that no rescaling changes (check 8.3)

# %% [markdown]
# ## Round 1: Same loss, other digits (10 minutes)
#
# ### Predict
#
# Lesson 04 joined two good networks. The same recipe joins a good one and a bad one.

# %%
lesson.predict("along")

# %% [markdown]
# ### Play
#
# Move along the road, and watch both panels. Then change the way in which the bad network came about:
# with squared loss, or from training on all data at once in place of small batches, a milder sin.
# Is there a place at which the training digits could tell you to turn back?

# %%
lesson.explore("road", after="along")

# %% [markdown]
# ### Explain
#
# The network has 4,650 weights and 400 digits to fit. Its solutions form a connected floor, and training
# stops at whatever part of it comes first. The **generalisation gap**
#
# $$G = A_{\text{train}} - A_{\text{test}}$$
#
# changes along this floor, from 0.05 to 0.48, while the loss stays close to zero.
#
# Training on all data at once costs 0.011 ± 0.005 of test accuracy here: hardly a bad minimum. On these digits only
# the poison makes one. So it is a made-up case, and a clean one: two ends of one objective.

# %% [markdown]
# ### Check
#
# `gap(train_right, train, test_right, test)` takes numbers of digits: read correctly and in all.

# %%
lesson.hint("8.1")


# %% tags=["exercise"]
def gap(train_right, train, test_right, test):
    return ...


lesson.check("8.1", gap)


# %% tags=["solution"]
def gap(train_right, train, test_right, test):
    return train_right / train - test_right / test


lesson.check("8.1", gap)

# %% [markdown]
# ## Round 2: Which one is flatter? (12 minutes)
#
# ### Predict
#
# "Flat minima generalise" is an old hope. Here is a good and a bad minimum. Bet before you measure.

# %%
lesson.predict("flatter")

# %% [markdown]
# ### Play
#
# Each point is a stage of training, mean of five pairs; small dots are single networks. Training goes to the left.
# First compare the two ends as they were trained, then at equal loss. Go through the four measures.
# Last turn $\alpha$: it rescales a layer of the good network. The network says the same of every digit.

# %%
lesson.explore("measures", after="flatter")

# %% [markdown]
# ### Explain
#
# Three controls. **Loss**: with cross-entropy, curvature falls with the loss. At equal loss tr H is equal within
# the errors; $\lambda_{\max}$ is still smaller at the bad end. **Scale**: multiply by $\alpha$ the weights into a
# ReLU layer and divide by $\alpha$ those out of it. The function stays, and
#
# $$H_{ii} \to H_{ii}/\alpha^2 \ \text{(in)}, \qquad H_{ii} \to \alpha^2 H_{ii} \ \text{(out)}.$$
#
# So either end can be made the sharper one. The **adaptive trace** $\sum_i \theta_i^2 H_{ii}$ does not change.
# By it the bad end is sharper, six times at equal loss. **Objective**: with squared loss curvature hardly changes as
# the loss falls.
#
# One case cannot show that the adaptive trace predicts generalisation. It does show that tr H alone does not.

# %% [markdown]
# ### Check
#
# `rescaled(alpha, into, out, rest)` returns the trace after the rescaling. Before it the weights into the layer had the
# share `into` of the trace, those out of it `out`, all others `rest`.

# %%
lesson.hint("8.2")


# %% tags=["exercise"]
def rescaled(alpha, into, out, rest):
    return ...


lesson.check("8.2", rescaled)


# %% tags=["solution"]
def rescaled(alpha, into, out, rest):
    return into / alpha**2 + out * alpha**2 + rest


lesson.check("8.2", rescaled)

# %% [markdown]
# ## Round 3: Which way does noise go? (12 minutes)
#
# ### Predict
#
# Squared loss, so that both ends are close to zero loss and noise on the labels does not fade with it.

# %%
lesson.predict("drift")

# %% [markdown]
# ### Play
#
# At the right, "road there" is the test accuracy of the nearest point of the road. The shaken walkers
# themselves do worse; "cooled" is after 200 more steps without noise.
#
# Switch the noise: mini-batches alone, none, and none with weight decay. Then release at 0.1.
# Last take the road *with matched norms* and release at 0.5. It passes the same functions in the same order, but the
# good end is rescaled until its norm is that of the bad end.

# %%
lesson.explore("walk", after="drift")

# %% [markdown]
# ### Explain
#
# Noise of standard deviation $\sigma$ on the $C$ outputs of each digit has the covariance $rH$ with $r = 2\sigma^2/C$.
# With momentum $m$ the mean force is
#
# $$-\frac{\eta\, r}{4B(1-m)}\,\nabla \operatorname{tr} H,$$
#
# once the spread has settled: no free constant. The line "theory" counts in that each projection resets the spread.
# It fails for the hottest walkers on the matched road.
#
# So noise goes down the slope of tr H, in the coordinates of SGD. On the road as found that leads away from
# both ends. On the matched road walkers from the middle go towards the *bad* end: the functions are the same, the
# trace is not.
#
# Weight decay alone moves them further than noise. It is a force of the loss.

# %% [markdown]
# ### Check
#
# `invariant(theta, diagonal)` takes the weights $\theta_i$ and the diagonal $H_{ii}$ as tensors, and returns
# a number that no rescaling changes.

# %%
lesson.hint("8.3")


# %% tags=["exercise"]
def invariant(theta, diagonal):
    return ...


lesson.check("8.3", invariant)


# %% tags=["solution"]
def invariant(theta, diagonal):
    return (theta**2 * diagonal).sum()


lesson.check("8.3", invariant)

# %% [markdown]
# ## Key points
#
# - No. All along a road of training accuracy 1 the test accuracy sinks from 0.95 to 0.52. The training loss does not
#   see it.
# - It depends on the measure. As trained with cross-entropy, tr H is *smaller* at the bad end; at equal loss it is
#   equal; a rescaling makes either end the sharper one. The adaptive trace, which no rescaling changes, is larger at
#   the bad end.
# - Noise on the labels goes to smaller tr H. On the road as found that takes walkers away from the bad end, and the
#   test accuracy rises. With matched norms it takes walkers from the middle to worse test accuracy, on each of the
#   three roads. Noise looks for width in the weights, not for good answers.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The bad minima were made with poison. Nobody meets them by training as usual, and one small network on 400 digits is
#   not all networks.
# - With cross-entropy we saw no drift on this kind of road. Mini-batches of 16 at $\eta = 0.2$ moved the walkers of one
#   pair no further than no noise in 1,980 steps; near zero loss this noise fades.
# - Of the five bad ends with squared loss two have not come to the floor, with losses of 0.0004 and 0.0009. One of
#   these is among the three roads of round 3: its walkers move a little without any noise, as the switch *none* shows.
# - Real networks cannot be rescaled at will by their training. That a measure *can* be fooled does not say that it is
#   fooled. It does say that a number without a scale proves nothing (Dinh et al. 2017).
# - The adaptive trace still depends on the loss. Other invariant measures may rank other networks differently.
# - "Temperature" is an analogy: label noise is shaped like the curvature, and the walkers have no free energy.

# %% [markdown]
# ## Terms used
#
# - **poison set**: digits with wrong labels, used at first and then dropped
# - **generalisation gap** $G$: training accuracy less test accuracy
# - **adaptive trace**: $\sum_i \theta_i^2 H_{ii}$, which the rescaling of ReLU layers leaves alone
# - **rescaling**: weights into a layer times $\alpha$, those out of it over $\alpha$; the same function
# - **one objective**: training, road and walkers see the same loss

# %% [markdown]
# ## Next
#
# Digits are small. The same curves for a network with convolutions, on photographs: [CIFAR-10](09_cifar10.ipynb).
