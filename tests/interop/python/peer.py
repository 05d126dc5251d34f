"""The Rust library, through its Python package, behind JSON lines: a command on standard input, an answer on standard
output, in order. tests/support/servers/peer.ts describes the protocol."""

import base64
import json
import sys
from urllib.parse import quote

import asherah

factories = {}


def connection_string(scheme, store):
    account = f"{quote(store['user'], safe='')}:{quote(store['password'], safe='')}"
    return f"{scheme}://{account}@{store['host']}:{store['port']}/{store['database']}"


def metastore(store):
    kind = store["kind"]
    if kind == "memory":
        return {"Metastore": "memory"}
    if kind in ("postgres", "mysql"):
        return {"Metastore": "rdbms", "ConnectionString": connection_string(kind, store)}
    if kind == "dynamodb":
        return {
            "Metastore": "dynamodb",
            "DynamoDBEndpoint": store["endpoint"],
            "DynamoDBRegion": store["region"],
            "DynamoDBTableName": store["table"],
            "EnableRegionSuffix": store["regionSuffix"],
        }
    raise ValueError(f"no metastore {kind}")


def kms(service):
    if service["kind"] == "static":
        key = service["key"].encode()
        # The public test key has a name of its own here, which the plain static KMS does not need.
        if key == b"thisIsAStaticMasterKeyForTesting":
            return {"KMS": "test-debug-static"}
        return {"KMS": "static", "StaticMasterKeyHex": key.hex()}
    return {"KMS": "aws", "RegionMap": service["regionMap"], "PreferredRegion": service["preferredRegion"]}


def configure(config):
    return asherah.SessionFactory(
        {
            "ServiceName": config["service"],
            "ProductID": config["product"],
            "ExpireAfter": config["expireAfter"],
            "CheckInterval": config["checkInterval"],
            "EnableSessionCaching": False,
            "ConfigDriftForceRun": config.get("ignoreDrift", False),
            **metastore(config["metastore"]),
            **kms(config["kms"]),
        }
    )


def carry_out(command):
    name = command["factory"]
    operation = command["op"]
    if operation == "configure":
        factories[name] = configure(command["config"])
        return {}
    if operation == "close":
        factories.pop(name).close()
        return {}
    with factories[name].get_session(command["partition"]) as session:
        if operation == "encrypt":
            return {"record": session.encrypt_bytes(base64.b64decode(command["data"]))}
        if operation == "decrypt":
            data = session.decrypt_bytes(command["record"])
            return {"data": base64.b64encode(data).decode()}
    raise ValueError(f"no operation {operation}")


def answer(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main():
    answer({"id": 0, "ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer({"id": command["id"], **carry_out(command)})
        except Exception as error:  # Every refusal is an answer; the caller decides what it means.
            answer({"id": command["id"], "error": f"{type(error).__name__}: {error}"})


main()
