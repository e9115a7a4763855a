# %% [markdown]
# # What you think now, and what you think afterwards
#
# *24 minutes. You need: nothing; 12 minutes are before the course, 12 after it.*
#
# Twelve questions on noise, valleys and roads. Most people find several of them hard before the course. Answer what you
# think; *I do not know* is an answer too. Your answers go to a file beside this page and are sent to no one. If you
# learn alone, the second time you see how many you had right each time. If you learn in a class, hand in both files.

# %%
from entropic_edu.teaching.inventory_page import Inventory

Inventory("before")

# %% [markdown]
# ## After the course
#
# The same ideas in other words. Use the same code as before.

# %%
Inventory("after")
