"""The embedded family: a pretrained parent as the frozen context tower, and its layers with low-rank deltas as the
tower that denoises canvases and reads holes from left to right."""
