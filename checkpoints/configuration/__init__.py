"""The configuration of layers: what files and graphs say of it, and whether the model has the same."""
