// One message through the Java Direct agent: PLACE send|receive OPTION IN OUT. The agent itself wraps, signs, encrypts,
// and on the way in decrypts, unwraps and enforces trust; nothing here does.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.*;
import javax.mail.internet.InternetAddress;
import org.nhindirect.stagent.*;
import org.nhindirect.stagent.cert.*;
import org.nhindirect.stagent.cryptography.*;
import org.nhindirect.stagent.trust.*;

public class DirectAgent {
    static Path place;

    public static void main(String[] words) throws Exception {
        place = Path.of(words[0]);
        org.nhindirect.common.crypto.CryptoExtensions.registerJCEProviders();
        String in = Files.readString(Path.of(words[3]), StandardCharsets.ISO_8859_1);
        String out;
        if (words[1].equals("send")) {
            String[] option = words[2].split(",");
            DefaultNHINDAgent agent = agent("direct.a.example");
            agent.setCryptographer(new SMIMECryptographerImpl(
                EncryptionAlgorithm.valueOf(option[0]), DigestAlgorithm.valueOf(option[1])));
            agent.setWrappingEnabled(option[2].equals("wrapped"));
            out = agent.processOutgoing(in).serializeMessage();
        } else {
            IncomingMessage message = agent("direct.b.example").processIncoming(in);
            if (message.getDomainRecipients().isEmpty()) throw new IllegalStateException("no recipient trusts the sender");
            out = message.serializeMessage();
        }
        Files.writeString(Path.of(words[4]), out, StandardCharsets.ISO_8859_1);
    }

    static DefaultNHINDAgent agent(String domain) throws Exception {
        Map<String, X509Certificate> held = new HashMap<>();
        Map<String, X509Certificate> known = new HashMap<>();
        for (String[] one : new String[][] {{"alice", "alice@direct.a.example"}, {"bob", "bob@direct.b.example"}}) {
            known.put(one[1], cert(one[0]));
            if (one[1].endsWith("@" + domain)) held.put(one[1], X509CertificateEx.fromX509Certificate(cert(one[0]), key(one[0])));
        }
        return new DefaultNHINDAgent(domain, resolver(held), resolver(known),
            new DefaultTrustAnchorResolver(List.of(cert("ca"))));
    }

    static CertificateResolver resolver(Map<String, X509Certificate> of) {
        return new CertificateResolver() {
            @Override public Collection<X509Certificate> getCertificates(InternetAddress address) {
                X509Certificate found = of.get(address.getAddress().toLowerCase());
                return found == null ? List.of() : List.of(found);
            }
        };
    }

    static X509Certificate cert(String who) throws Exception {
        try (InputStream in = Files.newInputStream(place.resolve(who + ".pem"))) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }

    static PrivateKey key(String who) throws Exception {
        String pem = Files.readString(place.resolve(who + ".key")).replaceAll("-----[^-]+-----|\\s", "");
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
    }
}
