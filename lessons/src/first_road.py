# %% [markdown]
# # Your own network in ten lines
#
# *20 minutes. You need: gradients, and to have trained a network once.*
#
# Two networks learn the same task from different starts. A road joins them on which the loss stays low all the way.
# **So why does SGD never walk along it?**
#
# You will be able to
# - put a network of your own on a landscape, and run the four verbs `train`, `connect`, `probe` and `drift` on it;
# - read the height and the width of a road from one picture;
# - say which part of a walker's motion is due to noise.

# %%
# %matplotlib inline
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu import plots

# %% [markdown]
# ## 1. A network and its data make a landscape
#
# Any `nn.Module` will do. All its weights together are one point $\theta$, here in 2,410 dimensions; the loss on 1,297
# handwritten digits, with weight decay, is the height there.


# %%
class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = nn.Linear(64, 24), nn.Linear(24, 24), nn.Linear(24, 10)

    def forward(self, x):  # (N, 64) pixels -> (N, 10) scores
        return self.out(torch.relu(self.second(torch.relu(self.first(x)))))


data, generator = ee.data.digits(), torch.Generator().manual_seed(0)
# "vmap": the same arithmetic on every run; the default picks the fastest way by a short timing
land = ee.Network(Digits(), *data.train, weight_decay=5e-4, test=data.test, strategy="vmap")
land.dim

# %% [markdown]
# ## 2. train: two minima
#
# Two independent runs. Both end with all training digits right, and far apart from each other.

# %%
run = ee.train(land, runs=2, batch_size=32, epochs=40, generator=generator)
a, b = run.theta
print(run.summary())
print("Training accuracy", land.accuracy(run.theta).tolist())
print("Held-out accuracy", land.accuracy(run.theta, "test").tolist())
print(f"Distance {(a - b).norm():.1f}, while each lies {a.norm():.1f} from the origin")

# %% [markdown]
# ## 3. connect: a hill, and a road round it
#
# **Predict.** Halfway along the *straight* line between the two minima, how high is the loss? As low as at the ends; a
# little higher; ten times as high?

# %%
line = ee.connect(land, a, b, method="linear", points=21, generator=generator)
size = {"pivots": 12, "sweeps": 500, "batch_size": 128, "points": 24}
road = ee.connect(land, a, b, method="string", **size, generator=generator)
print(line.summary())
print(road.summary())

# %%
ax = plots.path(line, label="straight line")
plots.path(road, ax, colour=plots.RED, dash="--", label="road")
ax.set_title("The straight line (hill) and the road (flat)", loc="left")
ax.figure

# %% [markdown]
# The mean of two good networks is a bad one. The road is only a little longer than the line, and flat. The string
# method found it: it lets all its points slide downhill at once and keeps them evenly spaced.
#
# ## 4. probe: the road is flat, but is it equally wide?
#
# **Predict.** The trace of the Hessian adds up how steeply the loss rises in all directions. From the ends to the
# middle of the road, does it fall, stay, or grow?

# %%
profile = ee.probe(land, road, points=7, num_probes=1, lanczos_steps=6, generator=generator)
print(profile.summary())
profile.plot().figure

# %% [markdown]
# The loss hardly changes; the walls close in. The *adaptive* trace $\sum_i \theta_i^2 H_{ii}$ does not change when a
# ReLU layer is scaled up and the next one down. It grows too, but less: part of the bump is scale.
#
# ## 5. drift: let go on the road
#
# Walkers start on the road at 0.3 and 0.7. They take 15 free steps of SGD, are put back to the nearest point of the
# road, and so on. **Predict** where they are after 700 steps. And where are they without noise, on the gradient of all
# data?

# %%
settings = {"start": [0.3, 0.7], "learning_rate": 0.15, "momentum": 0.9, "steps": 700}
noisy = ee.drift(land, road, batch_size=16, walkers=4, **settings, generator=generator)
still = ee.drift(land, road, batch_size=None, walkers=1, **settings, generator=generator)
print("Batches of 16:", noisy.summary())
print("All data:     ", still.summary())

# %%
ax = noisy.plot()
plots.release(still, ax, colour="black", dash=":")
ax.set_title("Noise sends walkers home; dotted: without noise", loc="left")
ax.figure

# %% [markdown]
# Without noise the walkers creep: the objective is not perfectly flat, and its pull is the dotted line. Noise does the
# rest: it spreads a walker across the road, and the spread costs loss where the walls are close, so the mean push
# points to where they are far apart. That is *entropic confinement*.
#
# **Check.** Set `batch_size=64` in the noisy release. The temperature $\eta/((1-m)B)$ falls to a quarter. What should
# happen to the distance covered in 700 steps, and does it?
#
# ## Where this stops being true
#
# - One pair of minima and four walkers from each start: one run can lie. `entropic-edu story --seeds 5` makes five.
# - Larger steps throw walkers out of the valley; then a position on the road means nothing. `summary()` says how many.
# - SGD noise is no heat bath: it is stronger where the loss is higher and the walls are steeper. "Temperature" compares
#   runs on one road, it does not make them thermal.
# - That wide minima generalise better is another claim, and this lesson says nothing about it.
