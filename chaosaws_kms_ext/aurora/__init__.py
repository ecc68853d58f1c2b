"""The cluster: what its status means, watching it, bringing it back."""
