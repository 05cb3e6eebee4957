"""The first subject: a small GAN on one-dimensional data, written the ways people write it."""
