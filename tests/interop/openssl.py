"""The `openssl cms` command."""
from common import AUTH_ENVELOPED, ENVELOPED, body_of, mail, run


class OpenSsl:
    reads = True

    def __init__(self, keys):
        self.keys = keys

    def setup(self):
        run(["openssl", "version"])

    def version(self):
        return run(["openssl", "version"]).decode().strip()

    def cms(self, verb, octets, *options):
        source = self.keys.file("in", octets)
        out = self.keys.dir / "made"
        run(["openssl", "cms", f"-{verb}", "-in", source, "-out", out, *options])
        return out.read_bytes()

    def signed(self, who="alice", *options):
        return self.cms("sign", self.keys.wrapped(), "-signer", self.keys.cert(who), "-inkey", self.keys.key(who), *options)

    def sealed(self, sign=(), encrypt=("-aes256",), who="alice", to="bob"):
        der = self.cms("encrypt", self.signed(who, *sign), "-binary", "-outform", "DER", *encrypt, "-recip",
                       self.keys.cert(to), *self.after(encrypt))
        return mail(AUTH_ENVELOPED if any("gcm" in word for word in encrypt) else ENVELOPED, der)

    # -keyopt must follow -recip.
    @staticmethod
    def after(encrypt):
        return getattr(encrypt, "after", ())

    def makes(self):
        class With(tuple):
            """Options before the recipient, and after it."""

        def keyed(first, *after):
            options = With(first)
            options.after = [word for option in after for word in ("-keyopt", option)]
            return options

        for bits in ("128", "192", "256"):
            yield f"AES-{bits}-CBC", lambda bits=bits: self.sealed(encrypt=(f"-aes{bits}",)), {}
            yield f"AES-{bits}-GCM", lambda bits=bits: self.sealed(encrypt=(f"-aes-{bits}-gcm",)), {}
        for digest in ("sha1", "sha256", "sha384", "sha512"):
            option = keyed(("-aes256",), "rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}")
            yield f"OAEP {digest}", lambda option=option: self.sealed(encrypt=option), {}
        option = keyed(("-aes256",), "rsa_padding_mode:oaep", "rsa_oaep_md:sha512", "rsa_mgf1_md:sha1")
        yield "OAEP sha512, MGF1 sha1", lambda: self.sealed(encrypt=option), {}
        for to in ("bob-ec", "bob-384"):
            for digest in ("sha1", "sha256", "sha384", "sha512"):
                agreed = keyed(("-aes256",), f"ecdh_kdf_md:{digest}")
                yield f"ECDH {to} {digest}", lambda agreed=agreed, to=to: self.sealed(encrypt=agreed, to=to), {"to": to}
            for bits in ("128", "192", "256"):
                wrap = ("-aes256", f"-aes{bits}-wrap")
                yield f"ECDH {to} wrap {bits}", lambda wrap=wrap, to=to: self.sealed(encrypt=wrap, to=to), {"to": to}
        yield "key identifiers", lambda: self.sealed(("-keyid",), ("-aes256", "-keyid")), {}
        yield "BER (-stream)", lambda: self.sealed(("-stream",), ("-aes256", "-stream")), {}
        yield "opaque signature", lambda: self.sealed(("-nodetach",)), {}
        yield "no signed attributes", lambda: self.sealed(("-noattr",)), {}
        yield "RSA-PSS", lambda: self.sealed(("-keyopt", "rsa_padding_mode:pss")), {}
        for digest in ("sha256", "sha384", "sha512"):
            yield f"RSA {digest}", lambda digest=digest: self.sealed(("-md", digest)), {}
            yield f"ECDSA {digest}", lambda digest=digest: self.sealed(("-md", digest), who="alice-ec"), {}
        yield "mail of openssl itself, LF", self.whole_mail, {}
        yield "signed only", lambda: self.from_alice(self.signed()), {"task": "verify"}
        yield "signed only, opaque", lambda: self.from_alice(self.signed("alice", "-nodetach")), {"task": "verify"}

    def whole_mail(self):
        head = ["-from", "alice@direct.a.example", "-to", "bob@direct.b.example", "-subject", "x"]
        return self.cms("encrypt", self.signed(), "-aes256", *head, self.keys.cert("bob"))

    def from_alice(self, entity):
        return b"From: alice@direct.a.example\nTo: bob@direct.b.example\n" + entity

    def read(self, path):
        der = body_of(path.read_bytes())
        clear = self.cms("decrypt", der, "-inform", "DER", "-binary", "-recip", self.keys.cert("bob"), "-inkey",
                         self.keys.key("bob"))
        return self.cms("verify", clear, "-CAfile", self.keys.cert("ca"), "-purpose", "smimesign")
