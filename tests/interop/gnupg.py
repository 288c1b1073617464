"""gpgsm of GnuPG: the engine of KMail and Claws Mail."""
import pathlib
import shutil
import tempfile

from common import ENVELOPED, OPAQUE, body_of, lines, mail, run, signed_part, split_signed


class Gpgsm:
    reads = True

    def __init__(self, keys):
        self.keys = keys
        # A socket's path must be short.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gpgsm"))

    def __del__(self):
        env = {"GNUPGHOME": str(self.home)}
        try:
            run(["gpgconf", "--kill", "all"], env=env)
        except RuntimeError:
            pass
        shutil.rmtree(self.home, ignore_errors=True)

    def setup(self):
        (self.home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
        (self.home / "gpgsm.conf").write_text("disable-crl-checks\npinentry-mode loopback\nbatch\n")
        print_of = run(["openssl", "x509", "-in", self.keys.cert("ca"), "-noout", "-fingerprint", "-sha1"]).decode()
        (self.home / "trustlist.txt").write_text(print_of.strip().split("=", 1)[1] + " S relax\n")
        self.sm("--import", self.keys.cert("ca"))
        for who in ("alice", "bob"):
            self.sm("--passphrase-fd", "0", "--import", self.keys.p12(who), stdin=b"test\n")

    def version(self):
        return run(["gpgsm", "--version"]).decode().splitlines()[0]

    def sm(self, *options, stdin=b""):
        return run(["gpgsm", "--batch", "--yes", "--no-tty", *options], stdin=stdin,
                   env={"GNUPGHOME": str(self.home)})

    def secret(self, *options, octets):
        """An operation with a private key, whose passphrase is that of the file it came from."""
        return self.sm("--passphrase-fd", "0", *options, self.keys.file("in", octets), stdin=b"test\n")

    def sealed(self, sign, wrap, encrypt=()):
        entity = wrap(self.keys.wrapped(), self.secret("--local-user", "alice@direct.a.example", *sign,
                                                       octets=self.keys.wrapped()))
        return mail(ENVELOPED, self.sm("--encrypt", "--recipient", "bob@direct.b.example", *encrypt, stdin=entity))

    def makes(self):
        detached = ("--sign", "--detach-sign")
        for cipher in ("AES", "AES192", "AES256"):
            yield f"{cipher}, BER", lambda cipher=cipher: self.sealed(
                detached, signed_part, ("--cipher-algo", cipher)), {}
        for digest in ("SHA384", "SHA512"):
            yield digest, lambda digest=digest: self.sealed((*detached, "--digest-algo", digest), signed_part), {}
        yield "chain included", lambda: self.sealed((*detached, "--include-certs", "-1"), signed_part), {}
        yield "opaque signature", lambda: self.sealed(("--sign",), lambda _, der: (
            f"Content-Type: {OPAQUE}\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode() + lines(der)), {}

    def read(self, path):
        clear = self.secret("--decrypt", octets=body_of(path.read_bytes()))
        content, signature = split_signed(clear)
        self.sm("--verify", self.keys.file("signature", signature), self.keys.file("signed", content))
        return content
