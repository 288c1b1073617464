"""node-forge and pkijs, from npm."""
import pathlib

from common import AUTH_ENVELOPED, ENVELOPED, OPAQUE, body_of, lines, mail, run, signed_part, split_signed

HERE = pathlib.Path(__file__).parent


class Npm:
    reads = True
    package = ""
    program = ""

    def __init__(self, keys):
        self.keys = keys
        self.place = keys.dir.parent / self.package

    def setup(self):
        if not (self.place / "node_modules" / self.package).exists():
            self.place.mkdir(exist_ok=True)
            (self.place / "package.json").write_text('{"private": true}')
            run(["npm", "install", "--no-audit", "--no-fund", "--silent", self.package], cwd=self.place)
        (self.place / self.program).write_bytes((HERE / self.program).read_bytes())

    def version(self):
        made = run(["node", "-p", f"require('./node_modules/{self.package}/package.json').version"], cwd=self.place)
        return f"{self.package} {made.decode().strip()}"

    def step(self, name, option, octets, also="-"):
        out = self.keys.dir / "made"
        out.unlink(missing_ok=True)
        run(["node", self.program, self.keys.dir, name, option, self.keys.file("in", octets), out, also], cwd=self.place)
        return out.read_bytes()

    def sealed(self, sign, encrypt, kind=ENVELOPED):
        signature = self.step("sign", sign, self.keys.wrapped())
        if "opaque" in sign:
            head = f"Content-Type: {OPAQUE}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
            entity = head + lines(signature)
        else:
            entity = signed_part(self.keys.wrapped(), signature)
        return mail(kind, self.step("encrypt", encrypt, entity))


class Forge(Npm):
    package = "node-forge"
    program = "forge.js"

    def makes(self):
        for cipher in ("aes128-CBC", "aes192-CBC", "aes256-CBC"):
            yield cipher, lambda cipher=cipher: self.sealed("sha256,detached", cipher), {}
        for digest in ("sha384", "sha512"):
            yield digest, lambda digest=digest: self.sealed(f"{digest},detached", "aes256-CBC"), {}
        yield "opaque signature", lambda: self.sealed("sha256,opaque", "aes256-CBC"), {}

    def read(self, path):
        # It decrypts; it has no verification of CMS.
        return self.step("decrypt", "-", body_of(path.read_bytes()))


class Pkijs(Npm):
    package = "pkijs"
    program = "pkijs.js"

    def makes(self):
        for cipher in ("AES-CBC,128", "AES-CBC,256"):
            for digest in ("SHA-1", "SHA-256", "SHA-512"):
                yield f"{cipher} OAEP {digest}", lambda cipher=cipher, digest=digest: self.sealed(
                    "SHA-256,RSASSA-PKCS1-v1_5,alice", f"{cipher},{digest},bob"), {}
        yield "RSA-PSS", lambda: self.sealed("SHA-256,RSA-PSS,alice", "AES-CBC,256,SHA-256,bob"), {}
        yield "ECDSA", lambda: self.sealed("SHA-256,ECDSA,alice-ec", "AES-CBC,256,SHA-256,bob"), {}
        for to in ("bob-ec", "bob-384"):
            yield f"ECDH {to}", lambda to=to: self.sealed(
                "SHA-256,RSASSA-PKCS1-v1_5,alice", f"AES-CBC,256,SHA-256,{to}"), {"to": to}
        yield "AES-GCM in EnvelopedData", lambda: self.sealed(
            "SHA-256,RSASSA-PKCS1-v1_5,alice", "AES-GCM,256,SHA-256,bob"), {}

    def read(self, path):
        clear = self.step("decrypt", "-", body_of(path.read_bytes()))
        content, signature = split_signed(clear)
        return self.step("verify", "-", signature, self.keys.file("signed", content))
