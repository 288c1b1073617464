"""Python's `cryptography`, in an environment of its own."""
from common import mail, run, split_signed, ENVELOPED, body_of, signed_part, OPAQUE, lines

MAKE = r'''
import sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import pkcs7
place, step, option, source, out = sys.argv[1:]
def cert(who): return x509.load_pem_x509_certificate(open(f"{place}/{who}.pem", "rb").read())
def key(who): return serialization.load_pem_private_key(open(f"{place}/{who}.key", "rb").read(), None)
octets = open(source, "rb").read()
O, E = pkcs7.PKCS7Options, serialization.Encoding
if step == "sign":
    digest, form, who = option.split(",")
    signer = pkcs7.PKCS7SignatureBuilder().set_data(octets)
    kind = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if form == "pss" else None
    extra = {"rsa_padding": kind} if kind else {}
    signer = signer.add_signer(cert(who), key(who), getattr(hashes, digest)(), **extra)
    options = [O.Binary] + ([] if form == "opaque" else [O.DetachedSignature]) + ([O.NoAttributes] if form == "noattr" else [])
    made = signer.sign(E.SMIME if form == "mail" else E.DER, [O.DetachedSignature] if form == "mail" else options)
elif step == "encrypt":
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(octets).add_recipient(cert("bob"))
    if option != "-": builder = builder.set_content_encryption_algorithm(getattr(algorithms, option))
    made = builder.encrypt(E.DER, [O.Binary])
else:
    made = pkcs7.pkcs7_decrypt_der(octets, cert("bob"), key("bob"), [])
open(out, "wb").write(made)
'''


class Cryptography:
    reads = True

    def __init__(self, keys):
        self.keys = keys
        self.python = keys.dir.parent / "venv" / "bin" / "python"

    def setup(self):
        if not self.python.exists():
            run(["python3", "-m", "venv", self.python.parent.parent])
            run([self.python, "-m", "pip", "install", "--quiet", "cryptography"])
        self.keys.file("make.py", MAKE.encode())

    def version(self):
        return "cryptography " + run(
            [self.python, "-c", "import cryptography; print(cryptography.__version__)"]).decode().strip()

    def step(self, name, option, octets):
        out = self.keys.dir / "made"
        run([self.python, self.keys.dir / "make.py", self.keys.dir, name, option, self.keys.file("in", octets), out])
        return out.read_bytes()

    def sealed(self, entity, cipher="-"):
        return mail(ENVELOPED, self.step("encrypt", cipher, entity))

    def detached(self, option):
        return signed_part(self.keys.wrapped(), self.step("sign", option, self.keys.wrapped()))

    def makes(self):
        yield "AES-128-CBC", lambda: self.sealed(self.detached("SHA256,detached,alice")), {}
        yield "AES-256-CBC", lambda: self.sealed(self.detached("SHA384,detached,alice"), "AES256"), {}
        yield "RSA-PSS", lambda: self.sealed(self.detached("SHA256,pss,alice")), {}
        yield "ECDSA", lambda: self.sealed(self.detached("SHA256,detached,alice-ec")), {}
        yield "no signed attributes", lambda: self.sealed(self.detached("SHA512,noattr,alice")), {}
        yield "mail of its own, x-pkcs7-signature", lambda: self.sealed(
            self.step("sign", "SHA256,mail,alice", self.keys.wrapped())), {}
        head = f"Content-Type: {OPAQUE}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
        yield "opaque signature", lambda: self.sealed(
            head + lines(self.step("sign", "SHA256,opaque,alice", self.keys.wrapped()))), {}

    def read(self, path):
        # It decrypts; it has no verification of CMS.
        return self.step("decrypt", "-", body_of(path.read_bytes()))
