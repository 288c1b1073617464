"""Exchanges S/MIME messages with other people's software, in both directions, and prints a table.

In: the built binary, names of peers. Out: a line an exchange; exit 1 if one failed and no reason is known.
Each peer makes messages that `carepost smime open` must accept, and under another anchor refuse; each peer must
read what `carepost smime seal` makes. exceptions.txt holds what cannot be, with its reason; one that does not
happen any more is a failure too. Keys and certificates are made anew each time.
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers import PEERS  # noqa: E402
from common import A, B, PHRASE, Keys, run, split_signed  # noqa: E402

# What we seal: cipher, key transport.
SEALS = [
    ("aes-256-cbc", "pkcs1"),
    ("aes-128-cbc", "pkcs1"),
    ("aes-256-cbc", "oaep"),
    ("aes-256-gcm", "pkcs1"),
    ("aes-128-gcm", "oaep"),
]


def exceptions():
    known = {}
    for line in (HERE / "exceptions.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            case, reason = line.split(": ", 1)
            known[case] = reason
    return known


class Table:
    def __init__(self):
        self.known = exceptions()
        self.met = set()
        self.failed = 0
        self.passed = 0

    def row(self, peer, way, case, problem):
        key = f"{peer} {way} {case}"
        if problem is None and key in self.known:
            problem, result = "is no exception any more", "FAIL"
        elif problem is None:
            result = "ok"
        elif key in self.known:
            self.met.add(key)
            result, problem = "exception", self.known[key]
        else:
            result = "FAIL"
        self.failed += result == "FAIL"
        self.passed += result == "ok"
        print(f"{peer:14} {way:5} {case:42} {result}{'' if problem is None else ': ' + problem}", flush=True)


def opened(keys, carepost, octets, options, anchor):
    """The verdict of ours, and the content."""
    file, out = keys.dir / "message", keys.dir / "out"
    file.write_bytes(octets)
    out.unlink(missing_ok=True)
    task = options.get("task", "open")
    line = {"file": str(file), "anchor": [str(anchor)], "out": str(out), "profile": options.get("profile", "v1.3")}
    if task == "open":
        who = options.get("to", "bob")
        line |= {"key": str(keys.key(who)), "cert": str(keys.cert(who))}
    if "content" in options:
        (keys.dir / "content").write_bytes(options["content"])
        line["content"] = str(keys.dir / "content")
    answer = run([carepost, "smime", task, "--batch"], stdin=json.dumps(line).encode())
    return json.loads(answer), out.read_bytes() if out.exists() else b""


def takes(keys, carepost, octets, options):
    """None, or what is wrong with how we take a message."""
    answer, content = opened(keys, carepost, octets, options, keys.cert("ca"))
    if answer["verdict"] != "accepted":
        return f"{answer['reason']}: {answer['detail']}"
    if PHRASE not in content:
        return "the content is not what was sent"
    answer, _ = opened(keys, carepost, octets, options, keys.cert("other"))
    if answer["verdict"] != "refused" or answer["reason"] != "no-path":
        return f"under another anchor: {answer['verdict']} {answer['reason']}"
    return None


def sealed(keys, carepost, cipher, transport):
    draft, out = keys.dir / "draft.eml", keys.dir / "sealed.eml"
    draft.write_bytes(keys.message())
    run([carepost, "smime", "seal", draft, "--from", A, "--key", keys.key("alice"), "--cert", keys.cert("alice"),
         "--to", B, "--recipient-cert", keys.cert("bob"), "--cipher", cipher, "--key-transport", transport,
         "--out", out])
    return out


def exchange(name, keys, carepost, table):
    peer = PEERS[name](keys)
    try:
        peer.setup()
    except Exception as error:
        table.row(name, "-", "setup", f"cannot be installed: {error}")
        return
    print(f"# {name}: {peer.version()}", flush=True)
    for case, make, options in peer.makes():
        try:
            problem = takes(keys, carepost, make(), options)
        except Exception as error:
            problem = f"the peer cannot make it: {error}"
        table.row(name, "to us", case, problem)
    for cipher, transport in SEALS if peer.reads else []:
        try:
            content = peer.read(sealed(keys, carepost, cipher, transport))
            problem = None if PHRASE in content else "the content is not what was sent"
        except Exception as error:
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
            problem = " ".join(str(error).split())[:200] or type(error).__name__
        table.row(name, "of us", f"{cipher} {transport}", problem)


def main(carepost, place, names):
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        print(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}", file=sys.stderr)
        return 2
    table = Table()
    keys = Keys(pathlib.Path(place))
    for name in names or PEERS:
        exchange(name, keys, carepost, table)
    print(f"{table.passed} exchanges as they should be, {len(table.met)} exceptions, {table.failed} failures")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
