"""The one idea: games of named tensors, contests and turns, and the objective over their terms."""
