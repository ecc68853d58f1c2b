"""What a run makes on AWS: written down first, made, and removed again."""
