#!/usr/bin/python3
"""grpc_client.py TARGET COMMAND [WORD ...]: calls of grpc_backend.py's methods; prints what came as JSON.

    call METHOD TEXT [SECONDS [NAME=VALUE ...]]  one unary call, with a deadline (0: none) and metadata
    sum COUNT SIZE       client streaming
    many COUNT SIZE      server streaming
    chat COUNT           both, one message after the other's answer
    cancel METHOD        a streaming call that is cancelled after its first message
    load COUNT WIDTH [SECONDS]  unary calls, WIDTH at a time: statuses, backends and when each last answered; each has
                         SECONDS (10 when not said)
"""

import hashlib
import json
import sys
import threading
import time
from collections import Counter

import grpc

OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]


def told(error):
    return {"code": error.code().name, "details": error.details(),
            "trailing": [list(pair) for pair in error.trailing_metadata() or ()]}


def call(channel, method, text, seconds="0", *metadata):
    stub = channel.unary_unary(method if method.startswith("/") else f"/lab.Test/{method}")
    began = time.monotonic()
    try:
        pairs = [tuple(word.split("=", 1)) for word in metadata]
        answer, made = stub.with_call(text.encode(), timeout=float(seconds) or None, metadata=pairs)
        out = {"code": made.code().name, "text": answer.decode("latin-1"), "initial": [list(p) for p in made.initial_metadata()],
               "trailing": [list(p) for p in made.trailing_metadata()]}
    except grpc.RpcError as error:
        out = told(error)
    return {**out, "seconds": time.monotonic() - began}


def sum_(channel, count, size):
    digest = hashlib.sha256()

    def messages():
        for number in range(int(count)):
            message = b"%09d" % number + b"+" * (int(size) - 9)
            digest.update(message)
            yield message
    answer = channel.stream_unary("/lab.Test/Sum")(messages()).decode()
    return {"answer": answer, "wanted": f"{count} {digest.hexdigest()}"}


def many(channel, count, size):
    lengths, numbers = Counter(), []
    try:
        for message in channel.unary_stream("/lab.Test/Many")(f"{count} {size}".encode()):
            lengths[len(message)] += 1
            numbers.append(int(message[:9]))
    except grpc.RpcError as error:
        return told(error) | {"messages": len(numbers)}
    return {"lengths": lengths, "in_order": numbers == list(range(int(count)))}


def chat(channel, count):
    turn, said, answers = threading.Semaphore(1), [], []

    def messages():
        for number in range(int(count)):
            turn.acquire()
            said.append(f"m{number}")
            yield said[-1].encode()
    for answer in channel.stream_stream("/lab.Test/Chat")(messages()):
        answers.append(answer.decode())
        turn.release()
    return {"answers": answers, "backends": sorted({a.split(":")[0] for a in answers})}


def cancel(channel, method):
    stream = channel.unary_stream(f"/lab.Test/{method}")(b"1000000 1000")
    next(stream)
    stream.cancel()
    try:
        for _ in stream:
            pass
        return {"code": "OK"}
    except grpc.RpcError as error:
        return {"code": error.code().name}


def load(channel, count, width, seconds="10"):
    stub, lock, left = channel.unary_unary("/lab.Test/Echo"), threading.Lock(), iter(range(int(count)))
    codes, details, backends, last = Counter(), Counter(), Counter(), {}

    def run():
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            try:
                answer, made = stub.with_call(b"%d" % number, timeout=float(seconds))
                name = dict(made.trailing_metadata()).get("x-trailing")
                code = "OK" if answer == b"%d" % number else "WRONG"
            except grpc.RpcError as error:
                name, code = None, error.code().name
                with lock:
                    details[f"{code}: {error.details()}"] += 1
            with lock:
                codes[code] += 1
                if name:
                    backends[name] += 1
                    last[name] = time.monotonic()
    threads = [threading.Thread(target=run) for _ in range(int(width))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"codes": codes, "details": details, "backends": backends, "last": last}


def main():
    target, command, *words = sys.argv[1:]
    with grpc.insecure_channel(target, OPTIONS) as channel:
        commands = {"call": call, "sum": sum_, "many": many, "chat": chat, "cancel": cancel, "load": load}
        print(json.dumps(commands[command](channel, *words)))


if __name__ == "__main__":
    main()
