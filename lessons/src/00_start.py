# %% [markdown]
# # 00 · Start here
#
# *15 minutes. You need: nothing yet.*
#
# Run all cells (menu *Run*, *Run All Cells*), then press **Play**. Each dot is a walker: a point that takes noisy steps
# downhill, as a neural network does in training. The yellow floor is flat. Both crowds start in the middle, and nothing
# on the floor pulls them anywhere. Only the walls differ. Watch where they go, and drag the sliders.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("00")
lesson.play("crowd")

# %% [markdown]
# This course asks one question of that picture: *what moves a network when the loss is flat?* Every lesson has the same
# parts. You **predict**, you **play**, you read an **explanation**, and you **check** yourself. Your answers are sent
# to no one: they stay in a file in your home folder. On Binder and Colab that folder is on a borrowed machine, and is
# deleted with it.
#
# **Does this page work?** The next line tells whether everything the lessons need is there. If a picture stays empty,
# run the cell above it again. If the kernel was restarted, the interactive pictures are gone: run the cell with *import
# torch*, then the cell of the section where you were.

# %%
lesson.environment()

# %% [markdown]
# ## Questions
#
# - What does one run tell you, and what does it not?
# - How are two runs compared fairly?
#
# ## You will be able to
#
# - say how far off the mean of a few runs may be (check 0.1);
# - compare two runs that share every random draw (check 0.2).

# %% [markdown]
# ## Round 1: One run can lie (4 minutes)
#
# ### Predict
#
# Choose an answer and say how sure you are. A wrong answer costs nothing, and the explorer opens when you lock it in.
# **Skip** opens it too.

# %%
lesson.predict("again")

# %% [markdown]
# ### Play
#
# Step through the runs. Then switch to *eight runs*. The slider and the buttons work with the keyboard as well. A
# sentence under the picture gives its numbers, and the code that makes it is folded below.
#
# The button starts a longer run. It first says how long that takes, and **Stop** ends it at any time.

# %%
lesson.explore("seeds", after="again")

# %% [markdown]
# ### Explain
#
# All eight runs have the same start and the same settings; only the random numbers differ. One line is one outcome. The
# red band in the picture shows what eight runs together tell you: the mean of the ends, and how far off it may be,
#
# $$\text{standard error} = \frac{\sigma}{\sqrt n}.$$
#
# Here $\sigma$ is the standard deviation of the $n$ ends. The band is narrower than the spread of the lines, because
# the errors of independent runs partly cancel. From now on means come with such a band, unless stated
# otherwise.

# %% [markdown]
# ### Check
#
# Exercise 0.1. Write the function: the standard error of the mean of a list of values.

# %%
lesson.hint("0.1")


# %% tags=["exercise"]
def standard_error(values):
    return ...  # your line


lesson.check("0.1", standard_error)


# %% tags=["solution"]
def standard_error(values):
    return torch.tensor(values).std() / len(values) ** 0.5


lesson.check("0.1", standard_error)

# %% [markdown]
# ## Round 2: Fair comparisons (4 minutes)
#
# ### Predict
#
# Each step of a walker uses a *batch*: it averages the slope over $B$ samples. Small batches are noisy.

# %%
lesson.predict("twin")

# %% [markdown]
# ### Play
#
# The picture shows one walker in a trough, over time. The dashed red line stays: it is the run at $B = 16$. Change the
# batch size. Then set the random draws to *same*, and change it again.

# %%
lesson.explore("twins", after="twin")

# %% [markdown]
# ### Explain
#
# With new draws two walks differ by luck, and the effect of the batch size is hidden. With the same draws the two lines
# have one shape, and the picture shows the batch size alone. Such runs are *twins*. A kick is the mean of $B$
# independent samples, so its size falls as
#
# $$\text{kick} \propto \frac{1}{\sqrt B}.$$
#
# The trough is a parabola, where twice the kicks make exactly twice the walk. On other floors twins drift apart after a
# while, and you need many of them.

# %% [markdown]
# ### Check
#
# Exercise 0.2. The batch size goes from `before` to `after`, the draws stay. How many times as wide is the walk?

# %%
lesson.hint("0.2")


# %% tags=["exercise"]
def shrink(before, after):
    return ...  # your line


lesson.check("0.2", shrink)


# %% tags=["solution"]
def shrink(before, after):
    return (before / after) ** 0.5


lesson.check("0.2", shrink)

# %% [markdown]
# ## Key points
#
# - One run is only one outcome. Eight runs have a mean and a standard error, and the error falls as $1/\sqrt n$.
# - Twins share every random draw and differ in one setting: any difference between them comes from that setting.
#
# **How sure were you?** Dots on the line: you were right as often as you were sure. Below it: more sure than right.
# After this lesson there are at most two bets, and two bets say very little.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The standard error assumes that the runs are independent. Eight walkers that see the same batches are not.
# - Eight values give the error itself only to about a quarter: treat it as a rough size.
# - With eight runs a mean is more than two standard errors off about once in twelve times; with many runs, once in
#   twenty.
#
# ## Terms used
#
# *Walker*: a point that takes noisy steps downhill. *Batch size* $B$: samples in one step. *Step size* or *learning
# rate* $\eta$: how far a step goes. *Run*: one walk with its random numbers. *Seed*: the number that fixes all of
# these. *Isotropic noise*: equally strong in all directions and at all places.
#
# ## Next
#
# [01 · One valley, one walker](01_one_valley.ipynb): what holds a walker, and what shakes it.
