"""One stream to a sidecar, driven by lines of JSON: each request on standard input is sent, and its response printed."""

import json
import sys

import appencryption_pb2
import appencryption_pb2_grpc
import grpc
from google.protobuf import json_format

LIMIT = 65 * 1024 * 1024


def requests():
    for line in sys.stdin:
        yield json_format.Parse(line, appencryption_pb2.SessionRequest())


def main(target: str) -> None:
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    with grpc.insecure_channel(target, options) as channel:
        stream = appencryption_pb2_grpc.AppEncryptionStub(channel).Session(requests(), timeout=60)
        for response in stream:
            print(json.dumps(json_format.MessageToDict(response)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
