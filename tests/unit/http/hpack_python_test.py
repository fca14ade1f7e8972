#!/usr/bin/python3
"""HPACK beside Python's hpack, both ways: what one side writes the other reads. Takes the path of hpack_blocks."""

import random
import subprocess
import sys
import unittest

import hpack

BLOCKS = sys.argv.pop()
SEEDS = range(20)


def text(rng):
    alphabet = rng.choice([range(256), range(0x20, 0x7f), range(0x61, 0x7b), range(0x30, 0x3a)])
    return bytes(rng.choices(alphabet, k=rng.choice([0, 1, 5, 12, 30, 60, 300])))


def conversation(rng):
    """Blocks of fields; a number among them is a new largest size of the table."""
    names = [b":path", b":status", b":method", b"cookie", b"x-request-id", b"accept-encoding", b"authorization"]
    names += [text(rng).lower() for _ in range(10)]
    values = [b"GET", b"200", b"gzip, deflate"] + [text(rng) for _ in range(20)]
    turns = []
    for _ in range(50):
        if rng.random() < 0.1:
            turns.append(rng.choice([0, 100, 1000, 4096]))
        values[rng.randrange(len(values))] = text(rng)
        turns.append([(rng.choice(names), rng.choice(values)) for _ in range(rng.randrange(1, 20))])
    return turns


def hexed(data):
    return data.hex() or "-"


def unhexed(word):
    return b"" if word == "-" else bytes.fromhex(word)


def blocks(mode, lines):
    done = subprocess.run([BLOCKS, mode], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


class Python(unittest.TestCase):
    def test_reads_what_we_write(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                turns = conversation(random.Random(seed))
                said = [f"size {t}" if isinstance(t, int) else " ".join(hexed(w) for field in t for w in field) for t in turns]
                wire = iter(blocks("encode", said))
                decoder = hpack.Decoder()
                for turn in turns:
                    if isinstance(turn, int):
                        decoder.max_allowed_table_size = turn
                    else:
                        self.assertEqual([tuple(f) for f in decoder.decode(bytes.fromhex(next(wire)), raw=True)], turn)
                self.assertIsNone(next(wire, None))

    def test_writes_what_we_read(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                rng = random.Random(seed)
                turns = conversation(rng)
                encoder = hpack.Encoder()
                said = []
                for turn in turns:
                    if isinstance(turn, int):
                        encoder.header_table_size = turn
                        said.append(f"size {turn}")
                    else:
                        said.append(encoder.encode(turn, huffman=rng.random() < 0.7).hex())
                seen = iter(blocks("decode", said))
                for turn in turns:
                    if not isinstance(turn, int):
                        words = [unhexed(word) for word in next(seen).split()]
                        self.assertEqual(list(zip(words[::2], words[1::2])), turn)


if __name__ == "__main__":
    unittest.main()
