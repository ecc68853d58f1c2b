"""Plans: several experiments in order, checked as a whole, with one report (`chaos kms plan`)."""
