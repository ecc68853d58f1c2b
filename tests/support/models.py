"""boto3's models of AWS' services, read once in a process."""

from __future__ import annotations

import os
from functools import cache

from botocore.loaders import JSONFileLoader, Loader

__all__ = ["models_once"]


def models_once() -> None:
    """Each session of boto3 reads its services' models again, which nobody changes but S3's."""
    once, named = cache(JSONFileLoader().load_file), cache(Loader().list_available_services)
    always = JSONFileLoader.load_file
    JSONFileLoader.load_file = lambda self, path: (
        always(self, path) if f"{os.sep}s3{os.sep}" in path else once(path)
    )
    Loader.list_available_services = lambda _, type_name: named(type_name)
