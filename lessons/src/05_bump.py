# %% [markdown]
# # 05 · The bump in the road
#
# *50 minutes. You need: lesson 04 (the road between two minima), and eigenvalues of a symmetric matrix.*
#
# Lesson 04 ended here: a hill on the straight line between two trained networks, and a road round it that is flat. Run
# all cells and step *position* along both. Nothing stops you on the road. May SGD go wherever it likes?

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
# - Which directions across the road become steeper?
# - Is that real, or is it the loss, the scale of the weights, the way the road was made?

# %% [markdown]
# ## You will be able to
#
# - give the bump of a road as a ratio with an error over pairs of minima (check 5.1)
# - say what a random step off the road costs (check 5.2)
# - compute what a rescaling that leaves the function alone does to the trace (check 5.3)
# - weigh six objections, each by its control (check 5.4)

# %% [markdown]
# ## Round 1: Is it flat? (12 minutes)
#
# ### Predict
#
# "No barrier" says that the loss does not rise along the road. Nothing is said of the directions across it.

# %%
lesson.predict("middle")

# %% [markdown]
# ### Play
#
# At the left: a quantity over the mean of its two ends, five recorded roads. Step through *quantity*: trace, λmax,
# objective, norm. Pin one and compare it with another. Then choose one pair, and ask whether one road could have lied.
#
# The button measures a road now, at 21 places, with a quarter of the recorded effort.

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
# Five pairs give $1.95 \pm 0.08$. The objective gives $0.95 \pm 0.01$: it is a little *lower* in the middle, since the
# weights are smaller there, and weight decay counts. The data loss alone rises, to $1.22 \pm 0.02$ of a small number;
# keep that in mind for round 4. Curvature here is that of the data loss.

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
# ## Round 2: The whole spectrum (12 minutes)
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
# small ones. If all eigenvalues grow, the whole curve moves to the right. Move *position* and compare it with the
# curves of the ends. Crosses come from the whole Hessian; at 0, 0.5 and 1 they show how good the estimate is.

# %%
lesson.explore("spectrum", after="which")

# %% [markdown]
# ### Explain
#
# Along the axis of $\lambda_i$ a step of length $x$ costs $\tfrac12\lambda_i x^2$. A random step of length $r$ has
# $x^2 = r^2/D$ along each of $D$ axes, on average. So where the gradient averages out, the loss rises by
#
# $$\langle\Delta L\rangle = \frac{r^2}{2D}\sum_i \lambda_i = \frac{r^2}{2D}\operatorname{tr} H .$$
#
# The trace counts all directions. In the middle of the road the largest eigenvalue is $2.6 \pm 0.2$ times as large as
# at the ends, the 100th $1.53 \pm 0.04$ times; so it is for each of the 600 largest, on each of five roads. The
# negative ones add up to $-0.17$ at the ends and $-0.28$ in the middle, of a trace of 3.1 and 6.3.

# %% [markdown]
# ### Check
#
# `rise(trace, radius, dimensions)`: the mean rise of the loss for a random step of this length.

# %%
lesson.hint("5.2")


# %% tags=["exercise"]
def rise(trace, radius, dimensions):
    return ...


lesson.check("5.2", rise)


# %% tags=["solution"]
def rise(trace, radius, dimensions):
    return radius**2 * trace / (2 * dimensions)


lesson.check("5.2", rise)

# %% [markdown]
# ## Round 3: Is it scale? (10 minutes)
#
# ### Predict
#
# A sceptic says: your curvature is counted per length of weight, and lengths of weights mean little.

# %%
lesson.predict("factor")

# %% [markdown]
# ### Play
#
# Multiply the weights into a hidden layer by $\alpha$ and divide those out of it. Do it everywhere on the road, in the
# middle only, or at the ends only. Can you make the bump of the trace vanish? Which panel never moves?

# %%
lesson.explore("rescale", after="factor")

# %% [markdown]
# ### Explain
#
# If a weight becomes $\alpha$ times as large and the function stays, its curvature becomes $1/\alpha^2$ of what it was.
# With $t_\text{in}$ and $t_\text{out}$ the parts of the trace that belong to the weights into and out of the layer,
#
# $$\operatorname{tr} H \;\to\; \frac{t_\text{in}}{\alpha^2} + \alpha^2 t_\text{out} + t_\text{rest}.$$
#
# The *adaptive* trace $\sum_i \theta_i^2 H_{ii}$ is left alone. Its bump is $1.57 \pm 0.07$: smaller than $1.95$, and
# still there.
#
# But SGD walks among the weights, in raw lengths, and raw curvature is what it feels. And weight decay pays for large
# weights: it holds the scale near the smallest norm. Both numbers are needed.

# %% [markdown]
# ### Check
#
# `rescaled(into, out, rest, alpha)`: the trace after the rescaling, from its three parts before.

# %%
lesson.hint("5.3")


# %% tags=["exercise"]
def rescaled(into, out, rest, alpha):
    return ...


lesson.check("5.3", rescaled)


# %% tags=["solution"]
def rescaled(into, out, rest, alpha):
    return into / alpha**2 + out * alpha**2 + rest


lesson.check("5.3", rescaled)

# %% [markdown]
# ## Round 4: The sceptic (12 minutes)
#
# ### Predict
#
# Scale was one objection. Here are more, each with a control: the same measurement with one thing changed.

# %%
lesson.predict("objection")

# %% [markdown]
# ### Play
#
# One row for each condition. Small open signs are pairs of minima, large ones their mean with its standard error.
# Beside it: is that road flat (above), and where does its curvature rise (below)?

# %%
lesson.explore("sceptic", after="objection")

# %% [markdown]
# ### Explain
#
# An objection of the kind "it is only the loss" predicts a number. Turn the logits of the *ends* down until their data
# loss is that of the middle, and their trace rises by the factor
#
# $$\frac{\operatorname{tr} H(\text{end at the loss of the middle})}{\operatorname{tr} H(\text{end})} = 1.13 \pm 0.01,$$
#
# where the road shows $1.95$. So the loss is part of it, and a small part. To judge a control, compare the difference
# of two bumps with its error, $\sqrt{\text{error}_1^2 + \text{error}_2^2}$: less than twice that is no difference.
#
# A control that gives no flat road decides nothing. That verdict is *open*.

# %% [markdown]
# ### Check
#
# Judge by the trace; for *scale* by the adaptive trace of the roads as they are. The verdicts: `"ruled out"` (under
# its control the bump is no smaller), `"part of it"` (clearly smaller, and still above 1), `"open"`. For *training*
# take the 400 epochs, for *no decay* the row without decay.

# %%
lesson.hint("5.4")

# %% tags=["exercise"]
verdict = {
    "loss": ...,
    "scale": ...,
    "path": ...,
    "renaming": ...,
    "no decay": ...,
    "training": ...,
}
lesson.check("5.4", verdict.get)

# %% tags=["solution"]
verdict = {
    "loss": "part of it",
    "scale": "part of it",
    "path": "ruled out",
    "renaming": "part of it",
    "no decay": "open",
    "training": "part of it",
}
lesson.check("5.4", verdict.get)

# %% [markdown]
# ## Key points
#
# - No. On five roads whose objective nowhere lies above its higher end, the trace in the middle is $1.95 \pm 0.08$
#   times that of the ends, and the gradient noise $2.7 \pm 0.2$ times. "No barrier" does not mean "free to move".
# - Many: each of the 600 largest eigenvalues grows, the largest most.
# - Real on these roads, and not a constant of nature. Building the road otherwise leaves it. Equal loss, a measure that
#   no scale can fool, longer training and renamed units each make it smaller, down to $1.35 \pm 0.01$. With squared
#   loss the trace hardly has it, $1.09 \pm 0.01$, and the adaptive trace has a dip.

# %%
lesson.calibration()

# %% [markdown]
# ## Where this stops being true
#
# - One data set, small fully connected ReLU networks, five pairs of minima. The paper has two to three times the trace
#   in the middle, on CIFAR-10 and CIFAR-100 with convolutional networks. We did not measure those here.
# - The Hessian does not see the kinks of a ReLU network. Measured by random steps the bump depends on their length: it
#   is there at lengths 0.2 and 2, and not at 0.02 (objection *kinks*). A step of 0.02 costs 3.9 times what the
#   Hessian says at the ends, and 1.9 times in the middle. We suspect kinks at the trained minima; we did not test that.
# - Without weight decay we found no flat road: loss and curvature at the ends go to zero together, and the data loss
#   in the middle is $13 \pm 1$ times that of the ends. Whether a bump is left at equal loss, we cannot say.
# - With squared loss the objective rises along the road as well. Trained four times as long, with a longer search for
#   the road, one pair had a trace bump of 1.15. That is one pair.
# - Where ends are trained for longer the objective is 8 to 10 % higher in the middle, and not lower: that the loss
#   falls towards the middle goes with the short training here.
# - Standard errors are over five pairs that share data, architecture and recipe.

# %% [markdown]
# ## Terms used
#
# - **Hessian** $H$: the matrix of second derivatives of the data loss with respect to the weights
# - **trace** $\operatorname{tr} H$: the sum of its eigenvalues; **λmax**: the largest of them
# - **bump**: a quantity in the middle third of the road over its mean at the two ends
# - **adaptive trace** $\sum_i \theta_i^2 H_{ii}$: the same for all rescalings of layers that leave the function alone
# - **control**: the same measurement with one thing changed

# %% [markdown]
# ## Next
#
# The road is narrow in the middle, and lesson 02 said what noise does there.
# [Let go on the road](06_let_go.ipynb): SGD with sliders for batch size and learning rate,
# and the control without noise.
