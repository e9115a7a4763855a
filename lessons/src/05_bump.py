# %% [markdown]
# # 05 · The bump in the road
#
# *35 minutes. You need: lesson 04 (the road between two minima), and eigenvalues of a symmetric matrix.*
#
# Here are two trained networks: on the left a hill on the straight line between them, on the right a flat road round
# it. Run all cells and step *position* along both. Nothing stops you on the road. Can SGD go wherever it likes?
#
# The network differs from that of lesson 04: hidden layers are normalised, a fifth of the labels are wrong and
# memorised, and each draw of a label is noisy. Round 4 shows what each of these does.

# %% tags=["setup"]
import torch

import entropic_edu as ee

lesson = ee.Lesson("05")

# %%
lesson.explore("flat")

# %% [markdown]
# ## Questions
#
# - The loss along the road is flat. Is the road equally wide everywhere?
# - Which directions across the road become steeper, and do the steps of SGD see it?
# - Is it only the scale of the weights, and what else does it need?

# %% [markdown]
# ## You will be able to
#
# - give the bump of a road as a ratio with an error over pairs of minima (check 5.1)
# - multiply by a Hessian that is too large to write down (check 5.2)
# - measure trace and adaptive trace with random signs, and say with what error (check 5.3)
# - say which ingredient the bump needs, each by its control (check 5.4)

# %% [markdown]
# ## Round 1: Is it flat? (6 minutes)
#
# ### Predict
#
# "No barrier" says that the loss does not rise along the road. It says nothing about the directions across it.

# %%
lesson.predict("middle")

# %% [markdown]
# ### Play
#
# The left panel shows a quantity over the mean of its two ends, on five recorded roads. Step through *quantity*: trace,
# λmax, objective, norm. Pin one and compare it with another. Then choose one pair: could one road have misled you?
#
# The button measures one road now, at 21 places.

# %%
lesson.explore("bump", after="middle")

# %% [markdown]
# ### Explain
#
# Across the road the loss is a bowl in many dimensions. $H$ is its matrix of second derivatives, and $\lambda_1 \ge
# \lambda_2 \ge \dots$ are its eigenvalues: the curvatures along its principal axes. Their sum is the trace. For each
# pair of minima we take
#
# $$\text{bump} = \frac{\text{mean of } \operatorname{tr} H \text{ over the middle third}}
# {\text{mean of } \operatorname{tr} H \text{ at the two ends}}.$$
#
# Five pairs give $2.65 \pm 0.05$. The controls stay level: the objective $0.99$, the data loss $1.00$, the norm
# $0.97$. Equal loss and equal norm, so neither makes the bump. Curvature here is that of the data loss; each hidden
# layer has the norm of the ends along the road (round 3 says why).

# %% [markdown]
# ### Check
#
# `ratio(position, trace)` gets the positions, `(n,)`, and one row for each pair, `(pairs, n)`. It returns two numbers:
# the mean bump over the pairs and its standard error.

# %%
lesson.hint("5.1")


# %% tags=["exercise"]
def ratio(position, trace):
    return ...


lesson.check("5.1", ratio)


# %% tags=["solution"]
def ratio(position, trace):
    middle = (position >= 1 / 3) & (position <= 2 / 3)
    each = trace[:, middle].mean(1) / trace[:, [0, -1]].mean(1)
    return [each.mean(), each.std() / len(each) ** 0.5]


lesson.check("5.1", ratio)

# %% [markdown]
# ## Round 2: The whole spectrum (7 minutes)
#
# ### Predict
#
# A sum can double in many ways.

# %%
lesson.predict("which")

# %% [markdown]
# ### Play
#
# The curve counts the eigenvalues above $\lambda$: at its lower right end sits the largest, further up are the many
# small ones. If all grow, the whole curve moves to the right. Move *position* and compare it with the curves of the
# ends.

# %%
lesson.explore("spectrum", after="which")

# %% [markdown]
# Now see it: slices through the valley along an eigenvector, with bars as wide as SGD spreads there in 15 steps. On the
# right is the bump that steps of a given length see. Is it there at every length?

# %%
lesson.explore("steps")

# %% [markdown]
# ### Explain
#
# Along the axis of $\lambda_i$ a step of length $x$ costs $\tfrac12\lambda_i x^2$. A random step of length $r$ has
# $x^2 = r^2/D$ along each of $D$ axes, on average:
#
# $$\langle\Delta L\rangle = \frac{r^2}{2D}\sum_i \lambda_i = \frac{r^2}{2D}\operatorname{tr} H .$$
#
# Real steps cost more, since ReLUs switch on the way. At length 0.01 the ends cost $13$ times this, and the bump
# is gone: $0.28 \pm 0.02$. The control holds every ReLU on or off: $2.64 \pm 0.07$. At length 0.3 the bump is
# $1.71 \pm 0.06$, at 1 it is $2.43 \pm 0.08$. SGD gets 0.6 to 1.0 away from the road in 15 steps; its own steps see
# $1.95 \pm 0.06$.

# %% [markdown]
# ### Check
#
# All of this rests on one operation. Write `product(loss, theta, direction)`: the Hessian of `loss` at `theta` times a
# direction, `(D,)`, without the Hessian.

# %%
lesson.hint("5.2")


# %% tags=["exercise"]
def product(loss, theta, direction):
    return ...


lesson.check("5.2", product)


# %% tags=["solution"]
def product(loss, theta, direction):
    theta = theta.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(theta), theta, create_graph=True)
    return torch.autograd.grad(gradient @ direction, theta)[0]


lesson.check("5.2", product)

# %% [markdown]
# ## Round 3: Is it scale? (8 minutes)
#
# ### Predict
#
# Curvature is counted per length of weight squared. In this network the hidden layers are normalised.

# %%
lesson.predict("factor")

# %% [markdown]
# ### Play
#
# The road as it was built sags: in its middle the weights are smaller. Step *norms* from the road as built to matched
# norms. Then multiply the weights by $a$ in the middle or at the ends. Can you make the bump of the trace vanish? Which
# panels never move?

# %%
lesson.explore("scale", after="factor")

# %% [markdown]
# ### Explain
#
# Multiply the weights of a normalised layer by $a$. No output changes, and with $t$ the layer's part of the trace
#
# $$\operatorname{tr} H \;\to\; \frac{t}{a^2} + t_\text{rest}.$$
#
# As built, the norm in the middle is $0.554 \pm 0.001$ of that at the ends, and the bump is $8.09 \pm 0.19$. At matched
# norms, the control, it is $2.65 \pm 0.05$: most of the raw bump is scale. The *adaptive* trace
# $\sum_i \theta_i^2 H_{ii}$ does not change with $a$, and has the bump $1.85 \pm 0.04$.
#
# SGD walks in raw lengths, so it feels raw curvature. Lesson 06 lets walkers go at matched norms: there scale cannot
# push them.

# %% [markdown]
# ### Check
#
# How do you get a trace from products? With random signs $v$, on average $v \cdot Hv = \operatorname{tr} H$. Write
# `probe(product, theta, signs)`: the mean of $v \cdot Hv$ over the rows of `signs`, its standard error, and the same
# two numbers with $\theta_i v_i$ in place of $v_i$, which gives the adaptive trace.

# %%
lesson.hint("5.3")


# %% tags=["exercise"]
def probe(product, theta, signs):
    return ...


lesson.check("5.3", probe)


# %% tags=["solution"]
def probe(product, theta, signs):
    found = []
    for scale in (torch.ones_like(theta), theta):
        each = torch.stack([(scale * v) @ product(scale * v) for v in signs])
        found += [each.mean(), each.std() / len(each) ** 0.5]
    return found


lesson.check("5.3", probe)

# %% [markdown]
# Now your two functions measure the road of pair 1. Press the button as built, then at matched norms. Which of the two
# bumps is nearly left as it was?

# %%
lesson.explore("own", product=globals().get("product"), probe=probe)  # product is that of round 2

# %% [markdown]
# ## Round 4: What it needs (8 minutes)
#
# ### Predict
#
# Scale was one objection. Here are more, each a switch with its control: everything is trained, joined and measured
# again with one thing turned off.

# %%
lesson.predict("switch")

# %% [markdown]
# ### Play
#
# Above, on grey, is the setting of this lesson; below is what you set. Turn off one switch, turn it on again, then the
# next. Which removes the bump of the trace, and which that of the adaptive trace? Then turn off two. Small open signs
# are three pairs of minima, large ones their mean with its standard error. (These are other pairs, measured at fewer
# places along roads that were relaxed for less time: the bump is 2.43 here, and 2.65 in round 1.)
#
# On the right are walkers that were released at 0.3 and 0.7 and put back on the road every $k = 15$ steps: their share
# of the way home, and that of the control without noise.

# %%
lesson.explore("map", after="switch")

# %% [markdown]
# ### Explain
#
# Each switch is a control. Two bumps differ where
#
# $$\frac{|b - b_0|}{\sqrt{\sigma^2 + \sigma_0^2}} > 2 .$$
#
# Between ends that were trained *without label noise* the trace has the bump $1.55 \pm 0.11$, not $2.43 \pm 0.03$. All
# their curvature is higher, and most of that is norm: 11 instead of 17. Their adaptive trace is no higher.
#
# *Weight decay* is not needed for the bump. But without it the norm grows to 38 and all curvature falls, so the same
# noise takes walkers 4 % of the way home, not $43.6 \pm 1.0$ %. The bump is a ratio; the push needs the size.
#
# Where the loss rises along the road, curvature rises with it. Such a road decides nothing: *open*.

# %% [markdown]
# ### Check
#
# Take one switch at a time, all others on. Judge *wrong labels* and *normalisation* by the adaptive trace, all others
# by the trace; without *matched norms* means the road as built, without *cross-entropy* means squared loss. The
# verdicts, in this order: `"open"` (not flat), `"no bump without it"` (1 is within two errors, or above),
# `"smaller without it"` and `"not needed"`.

# %%
lesson.hint("5.4")

# %% tags=["exercise"]
verdict = {
    "noise of the ends": ...,
    "wrong labels": ...,
    "normalisation": ...,
    "weight decay": ...,
    "matched norms": ...,
    "cross-entropy": ...,
}
lesson.check("5.4", verdict.get)

# %% tags=["solution"]
verdict = {
    "noise of the ends": "smaller without it",
    "wrong labels": "no bump without it",
    "normalisation": "no bump without it",
    "weight decay": "not needed",
    "matched norms": "not needed",
    "cross-entropy": "open",
}
lesson.check("5.4", verdict.get)

# %% [markdown]
# ## Key points
#
# - The road is narrower in the middle. On five roads of level loss, at equal norm, the trace in the middle is
#   $2.65 \pm 0.05$ times that of the ends, and the gradient noise $2.28 \pm 0.04$ times. "No barrier" does not mean
#   "free to move".
# - All directions that we resolve become steeper: the largest eigenvalue grows $3.09 \pm 0.08$ times, the 200th
#   $3.53 \pm 0.11$ times. SGD's own steps, 0.6 to 1.0 long, see it; random steps shorter than 0.1 do not.
# - It is partly scale. As built the bump is $8.09 \pm 0.19$; at matched norms $2.65 \pm 0.05$ is left, and
#   $1.85 \pm 0.04$ of the adaptive trace.
# - The bump needs ends that were trained with noise, labels that are memorised, and normalised layers. Without the
#   first $1.55 \pm 0.11$ of the trace's bump is left; without either of the others the adaptive trace has no bump.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One data set, 500 small images with a fifth of the labels wrong, one architecture, five pairs of minima. The paper
#   finds two to three times the trace in the middle, on CIFAR-10 and CIFAR-100 with convolutional networks.
# - The recipe was chosen because the effect is clear in it. Round 4 shows what it needs; on clean digits the adaptive
#   trace has no bump.
# - The Hessian does not see ReLUs switch. At the ends a short random step costs up to $13$ times what it says, so
#   at such lengths the ends are the narrow places.
# - "Matched norms" is a choice: equal norm makes places comparable, it is not where the road was built.
# - Standard errors are over five pairs that share data, architecture and recipe.

# %% [markdown]
# ## Terms used
#
# - **Hessian** $H$: the matrix of second derivatives of the data loss with respect to the weights
# - **trace** $\operatorname{tr} H$: the sum of its eigenvalues; **λmax**: the largest of them
# - **bump**: a quantity in the middle third of the road over its mean at the two ends
# - **normalised layer**: one whose output is divided by its spread, so that the scale of its weights changes nothing
# - **matched norms**: each normalised layer has the norm of the ends all along the road
# - **adaptive trace** $\sum_i \theta_i^2 H_{ii}$: the same however normalised layers are scaled
# - **control**: the same measurement with one thing changed

# %% [markdown]
# ## Next
#
# The road is narrow in the middle, and lesson 02 said what noise does there.
# [Let go on the road](06_let_go.ipynb): SGD with sliders for batch size and learning rate,
# and the control without noise.
