// One step of an exchange with pkijs: PLACE STEP OPTION IN OUT ALSO.
const fs = require('fs');
const { webcrypto, createPrivateKey } = require('crypto');
const asn1js = require('asn1js');
const pkijs = require('pkijs');
pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto }));
const crypto = pkijs.getCrypto(true);
const [place, step, option, input, output, also] = process.argv.slice(2);
const buffer = (octets) => new Uint8Array(octets).buffer;
const octets = buffer(fs.readFileSync(input));
const pem = (name) => Buffer.from(fs.readFileSync(`${place}/${name}`, 'utf8').replace(/-----[^-]+-----|\s/g, ''), 'base64');
const cert = (who) => pkijs.Certificate.fromBER(buffer(pem(`${who}.pem`)));
const pkcs8 = (who) => createPrivateKey(fs.readFileSync(`${place}/${who}.key`)).export({ format: 'der', type: 'pkcs8' });
const info = (type, content) => Buffer.from(new pkijs.ContentInfo({ contentType: type, content }).toSchema().toBER());

async function sign([digest, scheme, who]) {
  const curve = scheme === 'ECDSA' ? { namedCurve: 'P-256' } : { hash: digest };
  const key = await crypto.importKey('pkcs8', pkcs8(who), { name: scheme, ...curve }, false, ['sign']);
  const hash = await crypto.digest({ name: digest }, octets);
  const attribute = (type, value) => new pkijs.Attribute({ type, values: [value] });
  const signed = new pkijs.SignedData({
    version: 1,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({ eContentType: pkijs.ContentInfo.DATA }),
    signerInfos: [new pkijs.SignerInfo({
      version: 1,
      sid: new pkijs.IssuerAndSerialNumber({ issuer: cert(who).issuer, serialNumber: cert(who).serialNumber }),
      signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes: [
        attribute('1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: pkijs.ContentInfo.DATA })),
        attribute('1.2.840.113549.1.9.5', new asn1js.UTCTime({ valueDate: new Date() })),
        attribute('1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: hash })),
      ] }),
    })],
    certificates: [cert(who)],
  });
  await signed.sign(key, 0, digest, octets);
  return info(pkijs.ContentInfo.SIGNED_DATA, signed.toSchema(true));
}

async function encrypt([name, bits, oaep, to]) {
  const enveloped = new pkijs.EnvelopedData();
  enveloped.addRecipientByCertificate(cert(to), { oaepHashAlgorithm: oaep, kdfAlgorithm: 'SHA-256', kekEncryptionLength: 256 });
  await enveloped.encrypt({ name, length: Number(bits) }, octets);
  return info(pkijs.ContentInfo.ENVELOPED_DATA, enveloped.toSchema());
}

async function decrypt() {
  const content = pkijs.ContentInfo.fromBER(octets);
  const enveloped = new pkijs.EnvelopedData({ schema: content.content });
  return Buffer.from(await enveloped.decrypt(0, { recipientCertificate: cert('bob'), recipientPrivateKey: buffer(pkcs8('bob')) }));
}

async function verify() {
  const signed = new pkijs.SignedData({ schema: pkijs.ContentInfo.fromBER(octets).content });
  const content = fs.readFileSync(also);
  const good = await signed.verify({ signer: 0, data: buffer(content), trustedCerts: [cert('ca')], checkChain: true });
  if (!good) throw new Error('the signature does not verify');
  return content;
}

const steps = { sign, encrypt, decrypt, verify };
steps[step](option.split(',')).then((made) => fs.writeFileSync(output, made)).catch((error) => {
  console.error(String(error && error.message || error).split('\n')[0]);
  process.exit(1);
});
