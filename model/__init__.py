"""The resident model: text in, text out. It owns tokens, tensors and devices, and has never heard of LSP."""

import os

# Must stand before torch is loaded. Threads that spin while they wait cost more than they win when others need the
# cores: on two busy cores 24 forwards of the embedded model took 7 to 14 s, and 0.6 s with threads that sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
