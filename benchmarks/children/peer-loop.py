"""The Rust implementation through its Python package: one round of figures for each line on standard input, a line of JSON
for each round, in nanoseconds a call."""

import json
import os
import sys
import time

import asherah

SIZES = [64, 1 << 10, 8 << 10]
PARTITIONS = 2048
CONFIG = {
    "ServiceName": "api",
    "ProductID": "catalog",
    "Metastore": "memory",
    "KMS": "static",
    "StaticMasterKeyHex": os.urandom(32).hex(),
}


def timed(call, round_ns, calls=64):
    """Nanoseconds a call, of as many as fill the round, after as many that do not count."""
    while True:
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        if time.perf_counter_ns() - start >= round_ns:
            break
        calls *= 2
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - start) / calls


def in_turn(calls):
    """Nanoseconds a call of one pass, after one that does not count."""
    for call, argument in calls:
        call(argument)
    start = time.perf_counter_ns()
    for call, argument in calls:
        call(argument)
    return (time.perf_counter_ns() - start) / len(calls)


def main():
    round_ns = int(float(sys.argv[1]) * 1e6)
    factory = asherah.SessionFactory(CONFIG)
    session = factory.get_session("tenant-42")
    payloads = {size: os.urandom(size) for size in SIZES}
    records = {size: session.encrypt_bytes(data) for size, data in payloads.items()}
    held = [factory.get_session(f"tenant-{number}") for number in range(PARTITIONS)]
    small = payloads[SIZES[0]]
    asherah.setup(CONFIG)
    print("ready", flush=True)
    for _ in sys.stdin:
        figures = {
            "encrypt": {size: timed(lambda: session.encrypt_bytes(payloads[size]), round_ns) for size in SIZES},
            "decrypt": {size: timed(lambda: session.decrypt_bytes(records[size]), round_ns) for size in SIZES},
            "held": in_turn([(each.encrypt_bytes, small) for each in held]),
            "module": in_turn(
                [(lambda id: asherah.encrypt_bytes(id, small), f"tenant-{number}") for number in range(PARTITIONS)]
            ),
        }
        print(json.dumps(figures), flush=True)


main()
