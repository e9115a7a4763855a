# %% [markdown]
# # 08 · Good valleys, bad ridges
#
# *45 minutes. You need: lessons 04 (roads), 05 (tr H), 06 (walkers and their control).*
#
# Two networks read all of the same 400 training digits. Below are digits that neither has seen, and what each reads.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("08")

# %%
lesson.explore("ends")

# %% [markdown]
# The bad network was made bad on purpose. It first learnt the 400 digits together with 800 others whose labels were
# wrong (the poison). Then the poison was dropped, and both networks came to rest on the same loss: cross-entropy with
# noisy labels as in lesson 06, without weight decay, so that both ends are minima of one objective.

# %% [markdown]
# ## Questions
#
# - Are all networks of equal training loss equal?
# - Is the minimum that generalises the flatter one?
# - Which way does noise go between the two, and is that the better way?

# %% [markdown]
# ## You will be able to
#
# - tell what the training loss leaves open, by the gap between two accuracies (check 8.1)
# - say how a trace changes when a normalised layer is resized and the function is not (check 8.2)
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
# Move along the road, and watch both panels. Dashed grey is the control: the straight line between the same two ends.
# Is there a place on the road at which the training digits could tell you to turn back? Then look at the three
# held-out pairs.

# %%
lesson.explore("road", after="along")

# %% [markdown]
# ### Explain
#
# The network has 16,330 weights and 400 digits to fit. Its solutions form a connected floor, and training stops at
# whatever part of it comes first. The **generalisation gap**
#
# $$G = A_{\text{train}} - A_{\text{test}}$$
#
# grows along this floor from 0.03 to 0.28, while every point of the road reads every training digit.
#
# Equal is not exact: no network can have a loss below 0.500 here, the good ends have 0.501, the bad ends and the
# highest points of the roads 0.509. What this small slope does to walkers is measured in round 3, by walkers without
# noise.

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
# "Flat minima generalise" is an old hope. Hidden layers are normalised here: what follows one divides by the size of
# its output, so that its weights matter by their direction alone. Such a layer can be shrunk without a trace in the
# outputs. Can it in the curvature?

# %%
lesson.predict("flatter")

# %% [markdown]
# ### Play
#
# Open circles are the bad ends as trained, squares the same functions with resized layers; dots are single pairs.
# Change the factor. Which measure stays? Then the control, a plain ReLU network with hard labels, trained in the same
# way: which end is flatter there?

# %%
lesson.explore("measures", after="flatter")

# %% [markdown]
# ### Explain
#
# The loss sees a normalised layer's direction only. At $a$ times the norm a step turns it $1/a$ times as far, so
#
# $$\operatorname{tr} H \;\to\; \frac{\operatorname{tr}_{\text{layer}}}{a^2} + \text{rest}.$$
#
# As trained the bad end is 1.5 times as sharp, at the good end's norms 15 times: one function. In the plain network,
# where one layer is multiplied and the next divided, tr H is nearly equal (0.88 ± 0.07), and $\lambda_{\max}$ says that
# the bad end is five times *flatter*. Again a factor turns it round.
#
# The **adaptive trace** $\sum_i \theta_i^2 H_{ii}$ is blind to all of this. By it the bad end is sharper in both
# networks, 12 and 19 times. Two cases are no law. They do show that tr H without a scale is none.

# %% [markdown]
# ### Check
#
# `resized(a, layer, rest)` returns the trace after a normalised layer was multiplied by `a`. Before that the layer had
# the part `layer` of the trace, everything else `rest`.

# %%
lesson.hint("8.2")


# %% tags=["exercise"]
def resized(a, layer, rest):
    return ...


lesson.check("8.2", resized)


# %% tags=["solution"]
def resized(a, layer, rest):
    return layer / a**2 + rest


lesson.check("8.2", resized)

# %% [markdown]
# ## Round 3: Which way does noise go? (12 minutes)
#
# ### Predict
#
# Norms matched: every normalised layer has the good end's norm all along the road. Walkers are let go at four places.

# %%
lesson.predict("drift")

# %% [markdown]
# ### Play
#
# Blue are the walkers with noise, dotted the control: the same starts and the same $\eta$ times steps, without noise.
# Go through the four starts, and look at the held-out pairs. Take the noise of the labels away and leave that of the
# batches. Last give the road its norms as trained.

# %%
lesson.explore("walk", after="drift")

# %% [markdown]
# ### Explain
#
# Walkers go where tr H falls. From 0.95 they come to 0.57, without noise to 0.93: noise moves them. Its covariance
# $C$ is close to $H$ here, and linear theory has the mean force
#
# $$-\frac{\eta}{4B(1-m)}\,\nabla \operatorname{tr} H$$
#
# once the spread has settled. The line counts in that each projection ($k = 15$) resets it. No constant is free, and
# it is right within 0.04.
#
# The road's held-out accuracy rises from 0.79 to 0.97. The walkers themselves, shaken, read 0.89 (without noise 0.81).
#
# Two more controls. Batches *without* noise on the labels move nobody: where all is learnt they have hardly any. And at
# the norms *as trained* the same functions in the same order have nearly one trace: the same noise moves nobody.

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
# - No. All along a road of training accuracy 1 the held-out accuracy sinks from 0.97 to 0.72. The training loss hardly
#   sees it.
# - It depends on the scale of the weights. By tr H the bad end is 1.5 times as sharp as trained and 15 times at matched
#   norms; in a plain ReLU network the two are nearly equal, and by $\lambda_{\max}$ the bad end is flatter. The
#   adaptive trace, which no rescaling changes, is larger at the bad end in both.
# - To smaller tr H. At matched norms that is the good end, from every start on every road, and the held-out accuracy of
#   the road rises. With norms as trained the same noise moves nobody. Noise looks for width in the weights, not for
#   good answers.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The bad minima were made with poison. Nobody meets them by training as usual, and one small network on 400 digits is
#   not all networks. The bad one was trained for longer, too: 18,500 steps with noise against 3,840.
# - The norms were matched by us. Without weight decay nothing brings them together, and the noise that carries walkers
#   at one scale leaves them at another.
# - Settings ($B$, $\eta$, $k = 15$ free steps) were chosen on the first two pairs. The three held-out pairs were run
#   once, with everything fixed; the switch shows them.
# - The road's accuracy is that of places, not of walkers. From 0.8 walkers end at places that read 0.97, and read 0.90
#   themselves, shaken by the noise; those without noise read 0.94.
# - $T$ = 0.031 is half of $T^*$ (lesson 06) at the good end and seven times $T^*$ at the bad one. Nobody left the
#   valley all the same, and linear theory held: with noisy labels $T^*$ is no wall.
# - The control is one run of full-batch steps in the same flow time. It shows what the slope of the loss does, not what
#   another noise would.
# - A real network's training cannot rescale it at will. That a measure *can* be fooled does not say that it is fooled.
#   It does say that a number without a scale proves nothing (Dinh et al. 2017).

# %% [markdown]
# ## Terms used
#
# - **poison set**: digits with wrong labels, used at first and then dropped
# - **generalisation gap** $G$: training accuracy less held-out accuracy
# - **adaptive trace**: $\sum_i \theta_i^2 H_{ii}$, which no resizing of layers changes
# - **normalised layer**: one whose output is divided by its size, so that its scale changes no output
# - **matched norms**: each such layer has the good end's norm all along the road

# %% [markdown]
# ## Next
#
# Digits are small. The same curves for a network with convolutions, on photographs: [CIFAR-10](09_cifar10.ipynb).
