"""What a run leaves: the summary, the verdict, what a person sees."""
