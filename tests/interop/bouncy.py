"""BouncyCastle's CMS, as Java mail systems use it."""
from common import AUTH_ENVELOPED, ENVELOPED, OPAQUE, body_of, lines, mail, signed_part, split_signed
from java import Java


class Bouncy(Java):
    reads = True
    artifacts = (("org.bouncycastle", "bcpkix-jdk18on", "1.78.1"),)
    program = "Bouncy.java"

    def sealed(self, sign="SHA256withRSA,detached,alice", encrypt="AES128_CBC,pkcs1,bob", micalg="sha-256"):
        signature = self.step("sign", sign, self.keys.wrapped())
        if ",opaque," in sign:
            head = f"Content-Type: {OPAQUE}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
            entity = head + lines(signature)
        else:
            entity = signed_part(self.keys.wrapped(), signature, micalg=micalg)
        kind = AUTH_ENVELOPED if "GCM" in encrypt else ENVELOPED
        return mail(kind, self.step("encrypt", encrypt, entity))

    def makes(self):
        for cipher in ("AES128_CBC", "AES192_CBC", "AES256_CBC", "AES128_GCM", "AES192_GCM", "AES256_GCM"):
            yield cipher, lambda cipher=cipher: self.sealed(encrypt=f"{cipher},pkcs1,bob"), {}
        for digest in ("SHA-1", "SHA-256", "SHA-384", "SHA-512"):
            yield f"OAEP {digest}", lambda digest=digest: self.sealed(encrypt=f"AES256_CBC,{digest},bob"), {}
        for to in ("bob-ec", "bob-384"):
            for kdf in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512"):
                yield f"ECDH {to} {kdf}", lambda kdf=kdf, to=to: self.sealed(encrypt=f"AES256_CBC,{kdf},{to}"), {"to": to}
            yield f"ECDH {to} cofactor", lambda to=to: self.sealed(encrypt=f"AES128_GCM,CSHA256,{to}"), {"to": to}
        for algorithm in ("SHA384withRSA", "SHA512withRSA", "SHA256withRSAandMGF1", "SHA512withRSAandMGF1"):
            yield algorithm, lambda algorithm=algorithm: self.sealed(f"{algorithm},detached,alice"), {}
        for algorithm in ("SHA256withECDSA", "SHA384withECDSA", "SHA512withECDSA"):
            yield algorithm, lambda algorithm=algorithm: self.sealed(f"{algorithm},detached,alice-ec"), {}
        yield "opaque signature", lambda: self.sealed("SHA256withRSA,opaque,alice"), {}
        yield "no signed attributes", lambda: self.sealed("SHA256withRSA,noattr,alice"), {}
        yield "streamed BER", lambda: self.sealed("SHA256withRSA,stream,alice", "AES256_CBC,stream,bob"), {}
        yield "key identifier", lambda: self.sealed("SHA256withRSA,keyid,alice", "AES256_CBC,keyid,bob"), {}
        yield "rsaEncryption replaced by sha256WithRSA", lambda: self.sealed("SHA256withRSA,named,alice"), {}

    def read(self, path):
        clear = self.step("decrypt", "-", body_of(path.read_bytes()))
        content, signature = split_signed(clear)
        return self.step("verify", "-", signature, self.keys.file("signed", content))
