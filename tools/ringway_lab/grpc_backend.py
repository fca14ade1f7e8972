#!/usr/bin/python3
"""grpc_backend.py ADDRESS:PORT NAME: a gRPC server whose messages are plain bytes, so that no protoc is needed.

    /lab.Test/Echo      unary: the request; initial metadata x-backend, trailing metadata x-trailing
    /lab.Test/Sum       client streaming: "COUNT SHA256" of all messages
    /lab.Test/Many      server streaming: "N SIZE" asks for N messages of SIZE bytes
    /lab.Test/Chat      both: each message comes back with "NAME: " in front
    /lab.Test/Fail      "CODE TEXT" ends the call so; nothing is sent before, so the answer is trailers only
    /lab.Test/Wait      sleeps "SECONDS"; then what was left of the deadline, or "none"
    /lab.Test/Metadata  JSON: the metadata of the call
    /grpc.health.v1.Health/Check  SERVING; SIGUSR1 makes it NOT_SERVING, SIGUSR2 SERVING again
"""

import hashlib
import json
import signal
import sys
import time
from concurrent import futures

import grpc

SERVING, NOT_SERVING = 1, 2


class Test:
    def __init__(self, name):
        self.name, self.health = name, SERVING

    def echo(self, request, context):
        if not request.isdigit():  # of a load: all in one piece, or a server that is killed leaves half an answer
            context.send_initial_metadata((("x-backend", self.name),))
        context.set_trailing_metadata((("x-trailing", self.name),))
        return request

    def sum(self, requests, context):
        digest, count = hashlib.sha256(), 0
        for message in requests:
            digest.update(message)
            count += 1
        return f"{count} {digest.hexdigest()}".encode()

    def many(self, request, context):
        count, size = map(int, request.split())
        for number in range(count):
            yield b"%09d" % number + b"." * (size - 9)

    def chat(self, requests, context):
        for message in requests:
            yield self.name.encode() + b": " + message

    def fail(self, request, context):
        code, _, text = request.decode().partition(" ")
        context.abort(getattr(grpc.StatusCode, code), text)

    def wait(self, request, context):
        left = context.time_remaining()
        time.sleep(float(request))
        return b"none" if left is None or left > 1e6 else b"%.3f" % left

    def metadata(self, request, context):
        return json.dumps([(k, v if isinstance(v, str) else v.hex()) for k, v in context.invocation_metadata()]).encode()

    def check(self, request, context):
        return bytes([8, self.health])  # field 1, an enum


def handlers(test):
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    methods = {"Echo": unary(test.echo), "Fail": unary(test.fail), "Wait": unary(test.wait), "Metadata": unary(test.metadata),
               "Sum": grpc.stream_unary_rpc_method_handler(test.sum), "Chat": stream(test.chat),
               "Many": grpc.unary_stream_rpc_method_handler(test.many)}
    return (grpc.method_handlers_generic_handler("lab.Test", methods),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": unary(test.check)}))


def main():
    test = Test(sys.argv[2])
    signal.signal(signal.SIGUSR1, lambda *_: setattr(test, "health", NOT_SERVING))
    signal.signal(signal.SIGUSR2, lambda *_: setattr(test, "health", SERVING))
    server = grpc.server(futures.ThreadPoolExecutor(32), handlers(test),
                         options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    if server.add_insecure_port(sys.argv[1]) == 0:
        sys.exit(f"cannot listen on {sys.argv[1]}")
    server.start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
