"""Which call needs which IAM action, and the policies that are made from that."""
