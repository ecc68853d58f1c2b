"""What boto3 works out for each session, once in a process: AWS' services, names of events."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from botocore.client import ClientCreator
from botocore.hooks import EventAliaser
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
    _aliases_once()
    _classes_once()


def _aliases_once() -> None:
    """Each session works out again how the same events are named."""
    names: dict[str, str] = {}
    made = EventAliaser.__init__

    def init(self: EventAliaser, event_emitter: Any, event_aliases: Any = None) -> None:
        made(self, event_emitter, event_aliases)
        if event_aliases is None:
            self._alias_name_cache = names

    EventAliaser.__init__ = init


def _classes_once() -> None:
    """Each client gets a service, with all shapes of its answers, and a class of its own."""
    load, make = ClientCreator._load_service_model, ClientCreator._create_client_class
    services: dict[tuple[str, str | None], Any] = {}
    classes: dict[str, Any] = {}

    def service(self: ClientCreator, name: str, api_version: str | None = None) -> Any:
        if name == "s3":
            return load(self, name, api_version)
        if (name, api_version) not in services:
            services[name, api_version] = load(self, name, api_version)
        return services[name, api_version]

    def client_class(self: ClientCreator, name: str, model: Any) -> Any:
        if name == "s3":
            return make(self, name, model)
        if name not in classes:
            classes[name] = make(self, name, model)
        return classes[name]

    ClientCreator._load_service_model = service
    ClientCreator._create_client_class = client_class
