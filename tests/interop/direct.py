"""The Java Direct agent (org.nhind:agent), whole: it wraps, signs, encrypts, decrypts, unwraps and judges by itself."""
from java import Java


class DirectAgent(Java):
    reads = True
    artifacts = (("org.nhind", "agent", "8.0.0"),)
    program = "DirectAgent.java"

    def makes(self):
        # OAEP came to the agent with 8.1, which is not on Maven Central.
        for cipher in ("AES128", "AES192", "AES256"):
            yield f"{cipher}, wrapped", lambda cipher=cipher: self.sends(f"{cipher},SHA256WITHRSA,wrapped"), {}
        for digest in ("SHA384", "SHA512"):
            yield f"{digest}, wrapped", lambda digest=digest: self.sends(f"AES256,{digest}WITHRSA,wrapped"), {}
        yield "unwrapped, v1.2", lambda: self.sends("AES128,SHA256WITHRSA,bare"), {"profile": "v1.2"}
        yield "unwrapped, plain", lambda: self.sends("AES128,SHA256WITHRSA,bare"), {"profile": "rfc5280"}

    def sends(self, option):
        return self.step("send", option, self.keys.message())

    def read(self, path):
        return self.step("receive", "-", path.read_bytes())
