"""A Chaos Toolkit extension: what happens to Aurora when its KMS key becomes unusable."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("chaostoolkit-aws-kms")
