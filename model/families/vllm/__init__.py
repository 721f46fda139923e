"""A model that runs elsewhere, behind `vllm serve`."""
