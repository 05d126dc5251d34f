"""moto whose KMS keys and secrets outlive it: they are read from a file at the start and written to it at SIGTERM."""

import os
import pickle
import sys

import moto.server
from moto.backends import get_backend

ACCOUNT = "123456789012"


def places():
    """Each service with what it keeps in a region."""
    return (
        ("kms", lambda backend: backend.keys),
        ("secretsmanager", lambda backend: backend.secrets),
    )


def save(file):
    kept = {}
    for service, contents in places():
        for region, backend in get_backend(service)[ACCOUNT].items():
            for name, item in contents(backend).items():
                # Asymmetric keys, which nothing here uses, cannot be pickled.
                item.__dict__.pop("private_key", None)
                kept[service, region, name] = item
    with open(file, "wb") as output:
        pickle.dump(kept, output)


def load(file):
    with open(file, "rb") as source:
        kept = pickle.load(source)
    for service, contents in places():
        for (of, region, name), item in kept.items():
            if of == service:
                dict.__setitem__(contents(get_backend(service)[ACCOUNT][region]), name, item)


keeps = sys.argv.pop(1)
if os.path.exists(keeps):
    load(keeps)


def end(*_):
    save(keeps)
    # In order it would wait for clients to close their connections.
    os._exit(0)


moto.server.signal_handler = end
moto.server.main()
