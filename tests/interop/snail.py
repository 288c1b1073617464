"""s-nail: a mail client of the command line, with OpenSSL inside."""
import mailbox
import os

from common import A, B, PHRASE, run


class Snail:
    reads = True

    def __init__(self, keys):
        self.keys = keys

    def setup(self):
        both = self.keys.cert("alice").read_bytes() + self.keys.key("alice").read_bytes()
        self.keys.file("alice.both", both)
        self.keys.file("bob.both", self.keys.cert("bob").read_bytes() + self.keys.key("bob").read_bytes())

    def version(self):
        return run(["s-nail", "--version"]).decode().splitlines()[0].strip()

    def snail(self, *words, stdin=b"", who="alice"):
        settings = {
            "from": A if who == "alice" else B,
            "smime-sign-cert": self.keys.dir / f"{who}.both",
            "smime-ca-file": self.keys.cert("ca"),
            "smime-ca-no-defaults": "",
        }
        options = [word for name, value in settings.items() for word in ("-S", f"{name}={value}" if value else name)]
        return run(["s-nail", "-:/", "-n", "-#", *options, *words], stdin=stdin,
                   env={"HOME": str(self.keys.dir), "MAILRC": "/dev/null", "TZ": "UTC"})

    def sends(self, *settings):
        """The mail that it hands to its transport, which is a file here."""
        box = self.keys.dir / "sent"
        box.unlink(missing_ok=True)
        options = [word for setting in settings for word in ("-S", setting)]
        command = f"mail {B}\n~s Referral\n{PHRASE.decode()}\n~.\n"
        self.snail("-S", f"mta=test://{box}", *options, stdin=command.encode())
        made = box.read_bytes()
        return made.split(b"\n", 1)[1] if made.startswith(b"From ") else made

    def makes(self):
        plain = {"profile": "rfc5280"}
        sign, encrypt = "smime-sign", f"smime-encrypt-{B}={self.keys.cert('bob')}"
        yield "signed and encrypted", lambda: self.sends(sign, encrypt), plain
        for cipher in ("aes128", "aes256"):
            yield cipher, lambda cipher=cipher: self.sends(sign, encrypt, f"smime-cipher-{B}={cipher}"), plain
        yield "signed", lambda: self.sends(sign), {**plain, "task": "verify"}
        yield "signed, SHA-512", lambda: self.sends(sign, "smime-sign-digest=SHA512"), {**plain, "task": "verify"}

    def read(self, path):
        box = self.keys.file("box", b"From alice Sun Nov 22 01:02:03 2026\n" + path.read_bytes().replace(b"\r\n", b"\n") + b"\n")
        clear = self.keys.dir / "clear"
        clear.unlink(missing_ok=True)
        self.snail("-f", box, stdin=f"decrypt 1 {clear}\nexit\n".encode(), who="bob")
        said = self.snail("-f", clear, stdin=b"verify 1\nexit\n", who="bob")
        return clear.read_bytes()
