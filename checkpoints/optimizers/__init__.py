"""State of optimizers: slots and step counts, from files into optimizers and back."""
