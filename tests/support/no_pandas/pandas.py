"""Keeps pandas from the processes that tests start: the extension runs without it.

Where it is installed, as the tests of docs/records.md need it, pyarrow imports it with the first
array, and that takes longer than all else that pyarrow does.
"""

raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
