// One step of an exchange with BouncyCastle: PLACE STEP OPTION IN OUT ALSO. Reads and writes files, prints nothing.
import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.*;
import java.util.*;
import javax.crypto.spec.*;
import org.bouncycastle.asn1.*;
import org.bouncycastle.asn1.cms.*;
import org.bouncycastle.asn1.pkcs.*;
import org.bouncycastle.asn1.x509.*;
import org.bouncycastle.cert.*;
import org.bouncycastle.cert.jcajce.*;
import org.bouncycastle.cms.*;
import org.bouncycastle.cms.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.*;
import org.bouncycastle.openssl.jcajce.*;
import org.bouncycastle.operator.*;
import org.bouncycastle.operator.jcajce.*;

public class Bouncy {
    static Path place;

    public static void main(String[] words) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        place = Path.of(words[0]);
        byte[] in = Files.readAllBytes(Path.of(words[3]));
        byte[] out = switch (words[1]) {
            case "sign" -> sign(in, words[2].split(","));
            case "encrypt" -> encrypt(in, words[2].split(","));
            case "decrypt" -> decrypt(in);
            case "verify" -> verify(in, Files.readAllBytes(Path.of(words[5])));
            default -> throw new IllegalArgumentException(words[1]);
        };
        Files.write(Path.of(words[4]), out);
    }

    static PrivateKey key(String who) throws Exception {
        try (PEMParser pem = new PEMParser(Files.newBufferedReader(place.resolve(who + ".key")))) {
            return new JcaPEMKeyConverter().setProvider("BC").getPrivateKey((PrivateKeyInfo) pem.readObject());
        }
    }

    static X509Certificate cert(String who) throws Exception {
        try (InputStream in = Files.newInputStream(place.resolve(who + ".pem"))) {
            return (X509Certificate) CertificateFactory.getInstance("X.509", "BC").generateCertificate(in);
        }
    }

    static byte[] sign(byte[] content, String[] option) throws Exception {
        String form = option[1];
        X509Certificate own = cert(option[2]);
        ContentSigner signer = new JcaContentSignerBuilder(option[0]).setProvider("BC").build(key(option[2]));
        DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
        SignerInfoGeneratorBuilder builder = form.equals("named")
            ? new SignerInfoGeneratorBuilder(digests, new DefaultCMSSignatureEncryptionAlgorithmFinder() {
                @Override public AlgorithmIdentifier findEncryptionAlgorithm(AlgorithmIdentifier given) { return given; }
            })
            : new SignerInfoGeneratorBuilder(digests);
        builder.setDirectSignature(form.equals("noattr"));
        SignerInfoGenerator info = form.equals("keyid")
            ? builder.build(signer, own.getExtensionValue("2.5.29.14") == null ? null
                : SubjectKeyIdentifier.getInstance(ASN1OctetString.getInstance(
                    ASN1OctetString.getInstance(own.getExtensionValue("2.5.29.14")).getOctets())).getKeyIdentifier())
            : builder.build(signer, new JcaX509CertificateHolder(own));
        JcaCertStore certs = new JcaCertStore(List.of(own));
        if (form.equals("stream")) {
            CMSSignedDataStreamGenerator generator = new CMSSignedDataStreamGenerator();
            generator.addSignerInfoGenerator(info);
            generator.addCertificates(certs);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            OutputStream sink = generator.open(out, false);
            sink.write(content);
            sink.close();
            return out.toByteArray();
        }
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addSignerInfoGenerator(info);
        generator.addCertificates(certs);
        return generator.generate(new CMSProcessableByteArray(content), form.equals("opaque")).getEncoded();
    }

    static byte[] encrypt(byte[] content, String[] option) throws Exception {
        ASN1ObjectIdentifier cipher = (ASN1ObjectIdentifier) CMSAlgorithm.class.getField(option[0]).get(null);
        RecipientInfoGenerator recipient = recipient(option[1], cert(option[2]));
        OutputEncryptor encryptor = new JceCMSContentEncryptorBuilder(cipher).setProvider("BC").build();
        if (option[0].endsWith("GCM")) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            generator.addRecipientInfoGenerator(recipient);
            return generator.generate(new CMSProcessableByteArray(content), (OutputAEADEncryptor) encryptor).getEncoded();
        }
        if (option[1].equals("stream")) {
            CMSEnvelopedDataStreamGenerator generator = new CMSEnvelopedDataStreamGenerator();
            generator.setBufferSize(100);
            generator.addRecipientInfoGenerator(recipient);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            OutputStream sink = generator.open(out, encryptor);
            sink.write(content);
            sink.close();
            return out.toByteArray();
        }
        CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
        generator.addRecipientInfoGenerator(recipient);
        return generator.generate(new CMSProcessableByteArray(content), encryptor).getEncoded();
    }

    static RecipientInfoGenerator recipient(String how, X509Certificate to) throws Exception {
        if (how.equals("pkcs1") || how.equals("stream")) {
            return new JceKeyTransRecipientInfoGenerator(to).setProvider("BC");
        }
        if (how.equals("keyid")) {
            byte[] id = ASN1OctetString.getInstance(ASN1OctetString.getInstance(
                to.getExtensionValue("2.5.29.14")).getOctets()).getOctets();
            return new JceKeyTransRecipientInfoGenerator(id, to.getPublicKey()).setProvider("BC");
        }
        if (how.contains("-")) {
            AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
                PKCSObjectIdentifiers.id_RSAES_OAEP,
                new OAEPParameterSpec(how, "MGF1", new MGF1ParameterSpec(how), PSource.PSpecified.DEFAULT));
            return new JceKeyTransRecipientInfoGenerator(to, oaep).setProvider("BC");
        }
        // ECDH: [C for the cofactor scheme] and the digest of the key derivation.
        String scheme = how.startsWith("C") ? "ECCDH_" + how.substring(1) + "KDF" : "ECDH_" + how + "KDF";
        KeyPairGenerator pairs = KeyPairGenerator.getInstance("EC", "BC");
        pairs.initialize(((java.security.interfaces.ECPublicKey) to.getPublicKey()).getParams());
        KeyPair ephemeral = pairs.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator generator = new JceKeyAgreeRecipientInfoGenerator(
            (ASN1ObjectIdentifier) CMSAlgorithm.class.getField(scheme).get(null),
            ephemeral.getPrivate(), ephemeral.getPublic(), CMSAlgorithm.AES256_WRAP);
        return generator.addRecipient(to).setProvider("BC").setUserKeyingMaterial(new byte[] {1, 2, 3, 4});
    }

    static byte[] decrypt(byte[] sealed) throws Exception {
        boolean authenticated = org.bouncycastle.asn1.cms.ContentInfo.getInstance(sealed).getContentType().equals(CMSObjectIdentifiers.authEnvelopedData);
        RecipientInformationStore recipients = authenticated
            ? new CMSAuthEnvelopedData(sealed).getRecipientInfos()
            : new CMSEnvelopedData(sealed).getRecipientInfos();
        RecipientInformation bob = recipients.get(new JceKeyTransRecipientId(cert("bob")));
        return bob.getContent(new JceKeyTransEnvelopedRecipient(key("bob")).setProvider("BC"));
    }

    static byte[] verify(byte[] signature, byte[] content) throws Exception {
        CMSSignedData signed = new CMSSignedData(new CMSProcessableByteArray(content), signature);
        Collection<SignerInformation> signers = signed.getSignerInfos().getSigners();
        for (SignerInformation signer : signers) {
            X509CertificateHolder holder = (X509CertificateHolder) signed.getCertificates().getMatches(signer.getSID()).iterator().next();
            if (!holder.isSignatureValid(new JcaContentVerifierProviderBuilder().setProvider("BC").build(cert("ca")))) {
                throw new SignatureException("the signer's certificate is not of the CA");
            }
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(holder))) {
                throw new SignatureException("the signature does not verify");
            }
        }
        if (signers.isEmpty()) throw new SignatureException("nobody signed");
        return content;
    }
}
