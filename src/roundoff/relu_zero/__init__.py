"""ReLU'(0): which derivative at zero, and what finite precision has to do with it.

After Bertoin, Bolte, Gerchinovitz and Pauwels, "Numerical influence of ReLU'(0) on
backpropagation" (NeurIPS 2021), with the same probabilities under random rounding.
"""
