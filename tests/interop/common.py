"""Keys, the message, and the MIME around CMS objects, for all peers."""
import base64
import os
import shutil
import subprocess

A, B = "alice@direct.a.example", "bob@direct.b.example"
PHRASE = b"Please see her soon."


def run(command, stdin=b"", cwd=None, env=None):
    """Standard output, or what was said on standard error as an exception."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, cwd=cwd, timeout=300,
                          env={**os.environ, **(env or {})})
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise RuntimeError(" / ".join(said[-3:]) or f"exit {done.returncode}")
    return done.stdout


def lines(der):
    text = base64.b64encode(der).decode()
    return "".join(text[at:at + 64] + "\r\n" for at in range(0, len(text), 64)).encode()


def signed_part(content, signature, boundary="=-interop", micalg="sha-256"):
    """multipart/signed around a content and a detached signature."""
    head = (f'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n micalg={micalg}; '
            f'boundary="{boundary}"\r\n\r\n--{boundary}\r\n').encode()
    middle = (f"\r\n--{boundary}\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
              f"Content-Transfer-Encoding: base64\r\n\r\n").encode()
    return head + content + middle + lines(signature) + f"--{boundary}--\r\n".encode()


def mail(entity_type, der, header=None):
    """A mail whose body is a CMS object."""
    header = header if header is not None else (
        f"From: {A}\r\nTo: {B}\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\nMessage-ID: <1@direct.a.example>\r\n")
    return (f"{header}MIME-Version: 1.0\r\nContent-Type: {entity_type}\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n").encode() + lines(der)


ENVELOPED = "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"
AUTH_ENVELOPED = "application/pkcs7-mime; smime-type=authEnveloped-data; name=smime.p7m"
OPAQUE = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"


def body_of(octets):
    """The decoded body of a mail in base64."""
    return base64.b64decode(octets.split(b"\r\n\r\n", 1)[1])


def split_signed(entity):
    """(content, signature) of multipart/signed, the content octet for octet."""
    head, body = entity.split(b"\r\n\r\n", 1)
    boundary = head.split(b'boundary="', 1)[1].split(b'"', 1)[0]
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    content = parts[1].split(b"\r\n", 1)[1]
    return content, base64.b64decode(parts[2].split(b"\r\n\r\n", 1)[1])


class Keys:
    """Made with the openssl command: two CAs; Alice and Bob, in RSA and on curves."""

    def __init__(self, place):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self.dir = place
        for ca in ("ca", "other"):
            self.make_ca(ca)
        for who, address, kind in (("alice", A, "rsa"), ("alice-ec", A, "P-256"), ("bob", B, "rsa"),
                                   ("bob-ec", B, "P-256"), ("bob-384", B, "P-384")):
            self.make_leaf(who, address, kind)

    def key(self, who):
        return self.dir / f"{who}.key"

    def cert(self, who):
        return self.dir / f"{who}.pem"

    def p12(self, who):
        """With the CA in it, under the password `test`, in the ciphers that old readers know."""
        out = self.dir / f"{who}.p12"
        run(["openssl", "pkcs12", "-export", "-legacy", "-inkey", self.key(who), "-in", self.cert(who),
             "-certfile", self.cert("ca"), "-name", who, "-passout", "pass:test", "-out", out])
        return out

    def make_key(self, who, kind):
        option = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else [
            "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        run(["openssl", "genpkey", *option, "-out", self.key(who)])

    def make_ca(self, who):
        self.make_key(who, "rsa")
        run(["openssl", "req", "-x509", "-new", "-key", self.key(who), "-subj", f"/O=Interop/CN={who}", "-days", "30",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-out", self.cert(who)])

    def make_leaf(self, who, address, kind):
        self.make_key(who, kind)
        agreement = "keyEncipherment" if kind == "rsa" else "keyAgreement"
        extensions = self.dir / "extensions"
        extensions.write_text(
            f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,{agreement}\n"
            f"extendedKeyUsage=emailProtection\nsubjectAltName=email:{address}\nsubjectKeyIdentifier=hash\n"
            f"authorityKeyIdentifier=keyid\n")
        run(["openssl", "req", "-new", "-key", self.key(who), "-subj", f"/O=Interop/CN={who}", "-out",
             self.dir / "request"])
        run(["openssl", "x509", "-req", "-in", self.dir / "request", "-CA", self.cert("ca"), "-CAkey", self.key("ca"),
             "-CAcreateserial", "-days", "20", "-extfile", extensions, "-out", self.cert(who)])

    def der(self, who):
        return run(["openssl", "x509", "-in", self.cert(who), "-outform", "DER"])

    def message(self):
        return (f"From: Alice <{A}>\r\nTo: {B}\r\nSubject: Referral\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\n"
                f"Message-ID: <1@direct.a.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
                ).encode() + PHRASE + b"\r\n"

    def wrapped(self):
        return b"Content-Type: message/rfc822\r\n\r\n" + self.message()

    def file(self, name, octets):
        path = self.dir / name
        path.write_bytes(octets)
        return path
