# %% [markdown]
# # 08 · Good valleys, bad ridges
#
# *30 minutes. You need: lessons 04 (roads), 05 (tr H), 06 (walkers and their control).*
#
# Two networks read all of the same 400 training digits right. Below are digits that neither has seen, with what a good
# network and a bad one read.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("08")

# %%
lesson.explore("ends")

# %% [markdown]
# The bad network was made bad on purpose. It first learnt the 400 digits together with 800 others whose labels were
# wrong (the poison). Then the poison was dropped, and both networks came to rest on the same loss: cross-entropy with
# noisy labels as in lesson 06, without weight decay, so that both ends are minima of the same objective.

# %% [markdown]
# ## Questions
#
# - Are all networks of equal training loss equal?
# - Is the minimum that generalises the flatter one?
# - Which way does noise go between the two, and is that the better way?

# %% [markdown]
# ## You will be able to
#
# - find the border on a road where networks surely become worse, though the training loss does not see it (check 8.1)
# - build a measure of sharpness that no rescaling changes (check 8.2)
# - follow a walker along a road, from the velocity that theory gives it (check 8.3)

# %% [markdown]
# ## Round 1: Same loss, other digits (8 minutes)
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
# Is there a place on the road where the training digits would tell you to turn back? Then look at the three held-out
# pairs.

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
# grows along this floor from 0.03 to 0.28, while every point of the road reads every training digit right.
#
# The losses are not exactly equal: no network can go below 0.500 here, the good ends have 0.501, the bad ends and the
# highest points of the roads 0.509. Round 3 measures what this small slope does, with noise-free walkers.

# %% [markdown]
# ### Check
#
# Where does it get worse? `border(position, accuracy)` takes the held-out accuracy of several pairs, (pairs,
# positions). It returns the first position from which the accuracy stays below that of the good end, `accuracy[:, 0]`,
# by more than 2.8 standard errors. Take the fall pair by pair.

# %%
lesson.hint("8.1")


# %% tags=["exercise"]
def border(position, accuracy):
    return ...


lesson.check("8.1", border)


# %% tags=["solution"]
def border(position, accuracy):
    fall = accuracy[:, :1] - accuracy
    error = fall.std(0) / len(fall) ** 0.5
    sure = fall.mean(0) > 2.8 * error
    last = int((~sure).nonzero().max())
    return position[last + 1]


lesson.check("8.1", border)

# %%
lesson.explore("road", yours=border)

# %% [markdown]
# ## Round 2: Which one is flatter? (9 minutes)
#
# ### Predict
#
# "Flat minima generalise" is an old hope. Hidden layers are normalised here: the output of each is divided by its size,
# so that only the direction of its weights matters. Such a layer can be shrunk without any change in the outputs. Does
# the curvature change?

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
# The loss sees only the direction of a normalised layer. At $a$ times the norm a step turns it $1/a$ times as far, so
#
# $$\operatorname{tr} H \;\to\; \frac{\operatorname{tr}_{\text{layer}}}{a^2} + \text{rest}.$$
#
# As trained the bad end is 1.5 times as sharp, at the good end's norms 15 times: the same function. In the plain
# network, where one layer is multiplied and the next divided, tr H is nearly equal (0.88 ± 0.07), and $\lambda_{\max}$
# says that the bad end is five times *flatter*. A factor reverses this.
#
# The **adaptive trace** $\sum_i \theta_i^2 H_{ii}$ is blind to all of this. By it the bad end is sharper in both
# networks, 12 and 19 times. Two cases prove no law, but they show that tr H without a scale means nothing.

# %% [markdown]
# ### Check
#
# A network has too many weights to write down its Hessian, but `product(v)`, the Hessian times a vector, is cheap.
# `adaptive(theta, product, probes)` estimates $\sum_i \theta_i^2 H_{ii}$ with probes of entries ±1, shape (n, D).
# (Lesson 05 estimates the trace in this way: the mean of $v\cdot Hv$.)

# %%
lesson.hint("8.2")


# %% tags=["exercise"]
def adaptive(theta, product, probes):
    return ...


lesson.check("8.2", adaptive)


# %% tags=["solution"]
def adaptive(theta, product, probes):
    total = 0.0
    for probe in probes:
        scaled = probe * theta
        total += scaled @ product(scaled)
    return total / len(probes)


lesson.check("8.2", adaptive)

# %% [markdown]
# The button takes *your* measure of three networks of pair 1 with 16,330 weights each: the good end, the bad one as
# trained, and the bad one resized. The results are the diamonds in the lowest row. Do red and blue agree? Then return
# the trace instead.

# %%
lesson.explore("measures", yours=adaptive)

# %% [markdown]
# ## Round 3: Which way does noise go? (8 minutes)
#
# ### Predict
#
# Now the norms are matched: every normalised layer has the good end's norm all along the road. Walkers are released at
# four places.

# %%
lesson.predict("drift")

# %% [markdown]
# ### Play
#
# Blue lines are the walkers with noise, dotted lines the control: the same starts and the same $\eta$ times steps,
# without noise. Go through the four starts, and look at the held-out pairs. Remove the noise of the labels and keep
# that of the batches. Finally, give the road its norms as trained.

# %%
lesson.explore("walk", after="drift")

# %% [markdown]
# ### Explain
#
# Walkers go where tr H falls. From 0.95 they come to 0.57, without noise to 0.93: noise moves them. Its covariance
# $C$ is close to $H$ here, and linear theory gives the mean force
#
# $$-\frac{\eta}{4B(1-m)}\,\nabla \operatorname{tr} H$$
#
# once the spread has settled. The line includes that each projection ($k = 15$) resets it. It has no free constant, and
# is right to within 0.04.
#
# The road's held-out accuracy rises from 0.79 to 0.97. The walkers themselves, shaken by noise, have 0.89 (without
# noise 0.81).
#
# Two more controls. Batches *without* noise on the labels move no walker: where everything is learnt their gradients
# hardly differ. And at the norms *as trained* the same functions have nearly the same trace: the same noise moves no
# walker.

# %% [markdown]
# ### Check
#
# Theory gives a velocity at every place of the road: how far a walker moves in one step there, resets included. Where
# does it go, and where does it stay? `track(start, position, velocity, steps)` returns where a walker is after 0, 1,
# ... steps; the places ascend, and between two of them the velocity is interpolated linearly.

# %%
lesson.hint("8.3")


# %% tags=["exercise"]
def track(start, position, velocity, steps):
    return ...


lesson.check("8.3", track)


# %% tags=["solution"]
def track(start, position, velocity, steps):
    from numpy import interp

    where = [start]
    for _ in range(steps):
        where.append(where[-1] + float(interp(where[-1], position, velocity)))
    return torch.tensor(where)


lesson.check("8.3", track)

# %% [markdown]
# Your track is the purple line, beside walkers that know nothing of it.

# %%
lesson.explore("walk", yours=track)

# %% [markdown]
# ## Key points
#
# - Networks of equal training loss are not equal. Along a road of training accuracy 1 the held-out accuracy sinks from
#   0.97 to 0.72. The training loss hardly shows it.
# - Which one is flatter depends on the scale of the weights. By tr H the bad end is 1.5 times as sharp as trained and
#   15 times at matched norms; in a plain ReLU network the two are nearly equal, and by $\lambda_{\max}$ the bad end is
#   flatter. The adaptive trace, which no rescaling changes, is larger at the bad end in both.
# - Noise goes to smaller tr H. At matched norms that is the good end, from every start on every road, and the held-out
#   accuracy of the road rises. With norms as trained the same noise moves no walker. Noise finds width in the weights,
#   not good answers.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - The bad minima were made with poison. Ordinary training does not find them, and one small network on 400 digits does
#   not stand for all networks. The bad one was also trained for longer: 18,500 steps with noise against 3,840.
# - We matched the norms. Without weight decay nothing brings them together, and the noise that carries walkers at one
#   scale leaves them at another.
# - Settings ($B$, $\eta$, $k = 15$ free steps) were chosen on the first two pairs. The three held-out pairs were run
#   once, with everything fixed; the switch shows them.
# - The road's accuracy is that of places, not of walkers. From 0.8 walkers end at places with accuracy 0.97, and
#   themselves have 0.90, shaken by the noise; those without noise have 0.94.
# - $T$ = 0.031 is half of $T^*$ (lesson 06) at the good end and seven times $T^*$ at the bad one. Still no walker left
#   the valley, and linear theory held: with noisy labels $T^*$ is not a wall.
# - The control is one run of full-batch steps over the same flow time. It shows what the slope of the loss does, not
#   what another kind of noise would.
# - Training does not rescale a real network at will. That a measure *can* be fooled does not mean that it is. It does
#   mean that a number without a scale proves nothing (Dinh et al. 2017).
# - Four probes give $\sum_i \theta_i^2 H_{ii}$ only to a few per cent; your track follows theory's velocity, not the
#   walkers'.

# %% [markdown]
# ## Terms used
#
# - **poison set**: digits with wrong labels, used at first and then dropped
# - **generalisation gap** $G$: training accuracy minus held-out accuracy
# - **adaptive trace**: $\sum_i \theta_i^2 H_{ii}$, which no resizing of layers changes
# - **normalised layer**: one whose output is divided by its size, so that its scale changes no output
# - **matched norms**: each such layer has the good end's norm all along the road

# %% [markdown]
# ## Next
#
# Digits are small. The same curves for a network with convolutions, on photographs: [CIFAR-10](09_cifar10.ipynb).
