# %% [markdown]
# # 09 · CIFAR-10: the same three curves
#
# *45 minutes. You need: lessons 04 to 06 (the road, its bump, walkers on it).*
#
# So far a road was one of a small network on 8 x 8 digits. Below are its three curves once more: height, width, and
# which way walkers go. Run all cells and step *position*. Toys, says a sceptic: what of photographs, and a network with
# convolutions?

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("09")

# %%
lesson.explore("three")

# %% [markdown]
# ## Questions
#
# - Are two CNNs trained on photographs joined by a road, too?
# - Is that road narrower in the middle, by more than the loss explains?
# - Does noise move walkers on it, where the slope alone does not?

# %% [markdown]
# ## You will be able to
#
# - say which accuracies 1,000 images can tell apart (check 9.1)
# - say what share of a bump the loss could explain (check 9.2)
# - choose the control of a run, so that the slope alone acts equally long on both (check 9.3)

# %% [markdown]
# ## Round 1: What is the same, what is different (12 minutes)
#
# | | digits | here |
# |---|---|---|
# | data | 500 + 500 digits, 8 x 8, a fifth of the labels wrong | 5,000 + 1,000 photographs, 3 x 32 x 32 |
# | network | 64-96-96-10 units, normalised, 16,330 weights | 3 convolutions of 16, 32 and 64 channels, 33,834 weights |
# | pairs of minima | five | three |
# | road | string method | string method |
# | computed | in this lesson, or quickly | beforehand, on a GPU and a CPU |
#
# **Recorded and live.** What you see is recorded. Each explorer of a round has a button that does a small part of it
# now, on your processor, if there are images of CIFAR-10 on this machine. If there are none, it says how to get them.
#
# ### Predict
#
# Each of the six networks is right on all 5,000 training images. What lies between two of them?

# %%
lesson.predict("hill")

# %% [markdown]
# ### Play
#
# Step along line and road, digits at the left, CIFAR-10 at the right. Switch from new images to training images. The
# button evaluates the recorded networks on the images, and shows you four of these.

# %%
lesson.explore("both", after="hill")

# %% [markdown]
# ### Explain
#
# Halfway on the line the network guesses: every class gets about a tenth, and the loss is that of a guess,
#
# $$L_{\text{guess}} = -\ln\tfrac{1}{10} = 2.30 .$$
#
# On the road it stays right on the training images, and about as good on new ones. The road is longer than the line,
# by half.
#
# It is not as flat as that of digits: the data loss doubles in the middle, from a small number to another. With
# cross-entropy, curvature follows the loss. Keep that in mind for round 2.
#
# An accuracy $p$ on $n$ images has a standard error, since other images would have given another number.

# %% [markdown]
# ### Check
#
# `error(accuracy, images)`: the standard error of an accuracy. Are the six networks equally good?

# %%
lesson.hint("9.1")


# %% tags=["exercise"]
def error(accuracy, images):
    return ...


lesson.check("9.1", error)


# %% tags=["solution"]
def error(accuracy, images):
    return (accuracy * (1 - accuracy) / images) ** 0.5


lesson.check("9.1", error)

# %% [markdown]
# ## Round 2: The bump (12 minutes)
#
# ### Predict
#
# The loss is higher in the middle. If curvature is nothing but the loss in another unit, it rises as much.

# %%
lesson.predict("only")

# %% [markdown]
# ### Play
#
# At the left: a quantity over its value at the ends, with its error over three pairs; dashed the data loss, dotted the
# same quantity for digits. Step from the trace to *trace / loss*. Then ask whether it is scale: *adaptive trace*, and
# *adaptive / loss*. You decide.
#
# The button measures the trace at one point on a few hundred images.

# %%
lesson.explore("bump", after="only")

# %% [markdown]
# ### Explain
#
# Suppose the trace were in proportion to the loss. Its bump would then be that of the loss. The share of the rise that
# this explains is
#
# $$\text{share} = \frac{\text{bump of the loss} - 1}{\text{bump of the trace} - 1}.$$
#
# A share of 1 means: only the loss. The sentence under the picture gives what we found. The *trace over the loss* says
# the same along the road.
#
# The adaptive trace $\sum_i \theta_i^2 H_{ii}$ is what no rescaling of a ReLU network changes. Its bump is smaller than
# that of the trace: part of the trace's bump is that weights are smaller in the middle. Divided by the loss, little is
# left. More than its error? Look.

# %% [markdown]
# ### Check
#
# `explained(position, loss, trace)`: the mean share over the pairs and its standard error. `loss` and `trace` have one
# row for each pair.

# %%
lesson.hint("9.2")


# %% tags=["exercise"]
def explained(position, loss, trace):
    return ...


lesson.check("9.2", explained)


# %% tags=["solution"]
def explained(position, loss, trace):
    middle = (position >= 1 / 3) & (position <= 2 / 3)
    rise = [values[:, middle].mean(1) / values[:, [0, -1]].mean(1) - 1 for values in (loss, trace)]
    share = rise[0] / rise[1]
    return [share.mean(), share.std() / len(share) ** 0.5]


lesson.check("9.2", explained)

# %% [markdown]
# ## Round 3: Let go (12 minutes)
#
# ### Predict
#
# The objective, weight decay included, has a low point on each side of the middle. What does noise do there?

# %%
lesson.predict("end")

# %% [markdown]
# ### Play
#
# The slider *run* holds the runs that exist, from no noise to the warmest. Grey: all of them, from both sides. Find out
# which moves otherwise than no noise. Is the walker still in the valley? Look at the distance.
#
# All runs stand on one axis, $\eta\cdot$steps. The button lets two walkers go now, for a few hundred steps.

# %%
lesson.explore("walk", after="end")

# %% [markdown]
# ### Explain
#
# Without noise, and for small steps, a walker follows
#
# $$\frac{ds}{d\tau} = -\frac{dL}{ds}, \qquad \tau = \frac{\eta}{1-m}\cdot\text{steps},$$
#
# whatever $\eta$ is. So control and run must share $\tau$. Theory and the control agree: both slide to the lowest point
# of the objective on their side.
#
# Batches of 64 and 256 do the same. Batches of 16 go past it, *uphill*: only noise can do that. Then it is the
# tug-of-war of lesson 03: weight decay pulls inwards, noise pushes outwards, and walkers stop where the two balance.
# Linear theory puts that balance hardly past the lowest point. It has far too little push, as on digits.
#
# They do not reach the ends, where the objective is nearly twice as high.

# %% [markdown]
# ### Check
#
# `same_time(learning_rate, momentum, steps, control_rate, control_momentum)`: how many steps the control must take.

# %%
lesson.hint("9.3")


# %% tags=["exercise"]
def same_time(learning_rate, momentum, steps, control_rate, control_momentum):
    return ...


lesson.check("9.3", same_time)


# %% tags=["solution"]
def same_time(learning_rate, momentum, steps, control_rate, control_momentum):
    return steps * learning_rate / (1 - momentum) / (control_rate / (1 - control_momentum))


lesson.check("9.3", same_time)

# %% [markdown]
# ## Key points
#
# - Yes. On the line the CNN guesses; on the road it is right on all training images. The loss on the road is small, but
#   not level: it doubles in the middle.
# - Yes by the trace: it rises by much more than the loss, on each of three pairs. Much of that is scale. The adaptive
#   trace rises less, and divided by the loss only a little. On digits, at level loss, it has a bump of 1.9.
# - Yes, within limits. Batches of 16, at two learning rates, pass the lowest point of the objective on their way to the
#   ends, and stop a third of the way home. Colder runs move as no noise does; warmer ones are thrown out of the valley.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One small CNN without normalisation layers, a tenth of CIFAR-10, six networks with a test accuracy near 0.57. The
#   paper has ResNets at full size; we did not train those for this lesson.
# - In the paper walkers reach the ends. Here they do not, and the evidence is weaker for that. The ends are not at
#   rest: training stopped before weight decay had done its work, so that the objective falls from them inwards.
# - We tried one pair that was trained until it rests ($\eta$ = 0.05, 200 epochs; one pair, not recorded). There the
#   picture turns over: data loss and trace are *lower* in the middle than at the ends, 0.67 and 0.46 times, and batches
#   of 16 take walkers from 0.3 to 0.214, where no noise takes them to 0.211. No bump, no confinement. Decay had made
#   the ends small, and a small network is sharp. Weaker decay and more pairs are an investigation for you (lesson 10).
# - Below a threshold nothing is seen: batches of 64 at half the temperature move as no noise does.
# - The window is narrow. In trials at B = 16 and $\eta$ = 0.06 to 0.07, 8 to 13 % of the projections came from outside
#   the valley, and at $\eta$ = 0.1 walkers were thrown out until the run diverged. The recorded run at 0.06 puts a
#   walker that is found outside back to where it had been.
# - The paper finds walkers at B = 16 home ten times sooner than at B = 256. Here neither gets home. Our ratio compares
#   the times to the same place near the start. To a quarter of the way home there is a lower bound only, since batches
#   of 256 never come so far.
# - Walkers are put back on the road every 11 to 15 steps, which is a knob of the experiment (lesson 06).
# - Curvature was measured on 1,000 of the 5,000 training images, and the loss on all.
# - Errors are over three pairs of minima. Three is few.

# %% [markdown]
# ## Terms used
#
# - **CNN**: a convolutional network; its weights are filters that see every place of the image
# - **recorded**: computed beforehand by `entropic-edu record cifar10`, which makes all of it anew from its recipe
# - **live**: computed now, on your processor
# - **share explained**: what part of a bump a curvature in proportion to the loss would have
# - **control**: the same run without noise, at the same $\eta/(1-m)\cdot$ steps

# %% [markdown]
# ## Next
#
# Where the picture fails, and an investigation of your own: [Where the story stops](10_limits.ipynb).
