"""cmsutil of NSS: the engine of Thunderbird and Evolution."""
from common import ENVELOPED, OPAQUE, body_of, lines, mail, run, signed_part, split_signed


class Nss:
    reads = True

    def __init__(self, keys):
        self.keys = keys
        self.db = f"sql:{keys.dir}/nss"

    def setup(self):
        (self.keys.dir / "nss").mkdir()
        run(["certutil", "-N", "-d", self.db, "--empty-password"])
        run(["certutil", "-A", "-d", self.db, "-n", "ca", "-t", "CT,C,C", "-a", "-i", self.keys.cert("ca")])
        for who in ("alice", "bob", "alice-ec"):
            run(["pk12util", "-i", self.keys.p12(who), "-d", self.db, "-W", "test", "-K", ""])

    def version(self):
        package = run(["dpkg-query", "-W", "-f", "${Version}", "libnss3-tools"]).decode()
        return f"NSS {package}"

    def cms(self, *options, octets):
        source, out = self.keys.file("in", octets), self.keys.dir / "made"
        out.unlink(missing_ok=True)
        run(["cmsutil", *options, "-d", self.db, "-i", source, "-o", out])
        return out.read_bytes()

    def sign(self, *options, who="alice"):
        return self.cms("-S", "-N", who, "-G", "-P", *options, octets=self.keys.wrapped())

    def seal(self, entity, to="bob@direct.b.example"):
        return mail(ENVELOPED, self.cms("-E", "-r", to, octets=entity))

    def detached(self, digest="SHA256", who="alice"):
        signature = self.sign("-T", "-H", digest, who=who)
        preamble = b"This is a cryptographically signed message in MIME format.\r\n\r\n"
        return signed_part(self.keys.wrapped(), signature).replace(b"\r\n\r\n--", b"\r\n\r\n" + preamble + b"--", 1)

    def makes(self):
        for digest in ("SHA256", "SHA384", "SHA512"):
            yield digest, lambda digest=digest: self.seal(self.detached(digest)), {}
        yield "ECDSA", lambda: self.seal(self.detached(who="alice-ec")), {}
        opaque = f"Content-Type: {OPAQUE}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
        yield "opaque signature", lambda: self.seal(opaque + lines(self.sign("-H", "SHA256"))), {}
        yield "CMS within CMS", lambda: self.seal(self.sign("-H", "SHA256")), {}

    def read(self, path):
        clear = self.cms("-D", octets=body_of(path.read_bytes()))
        content, signature = split_signed(clear)
        self.cms("-D", "-c", self.keys.file("signed", content), octets=signature)
        return content
