"""Programs in Java, with their libraries from Maven Central."""
from common import body_of, run, split_signed

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>interop</groupId><artifactId>interop</artifactId><version>1</version><dependencies>{}</dependencies></project>
"""
DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


class Java:
    """`artifacts`: (group, artifact, version); `program`: beside this file."""
    artifacts = ()
    program = ""

    def __init__(self, keys):
        self.keys = keys
        self.lib = keys.dir.parent / self.program.split(".")[0]

    def setup(self):
        if not (self.lib / "lib").exists():
            self.lib.mkdir(exist_ok=True)
            wanted = "".join(DEPENDENCY.format(*artifact) for artifact in self.artifacts)
            (self.lib / "pom.xml").write_text(POM.format(wanted))
            run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], cwd=self.lib)
        source = __import__("pathlib").Path(__file__).parent / self.program
        run(["javac", "-nowarn", "-proc:none", "-cp", f"{self.lib}/lib/*", "-d", self.lib, source])

    def version(self):
        return ", ".join(f"{artifact} {version}" for _, artifact, version in self.artifacts)

    def step(self, name, option, octets, also="-"):
        out = self.keys.dir / "made"
        out.unlink(missing_ok=True)
        run(["java", "-cp", f"{self.lib}:{self.lib}/lib/*", self.program.split(".")[0], self.keys.dir, name, option,
             self.keys.file("in", octets), out, also], cwd=self.lib)  # The agent writes a folder `tmp` where it runs.
        return out.read_bytes()
