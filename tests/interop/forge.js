// One step of an exchange with node-forge: PLACE STEP OPTION IN OUT ALSO.
const fs = require('fs');
const forge = require('node-forge');
const [place, step, option, input, output] = process.argv.slice(2);
const octets = fs.readFileSync(input).toString('binary');
const cert = (who) => forge.pki.certificateFromPem(fs.readFileSync(`${place}/${who}.pem`, 'utf8'));
const key = (who) => forge.pki.privateKeyFromPem(fs.readFileSync(`${place}/${who}.key`, 'utf8'));
const oids = forge.pki.oids;
const der = (message) => forge.asn1.toDer(message.toAsn1()).getBytes();
let made;
if (step === 'sign') {
  const [digest, form] = option.split(',');
  const p7 = forge.pkcs7.createSignedData();
  p7.content = forge.util.createBuffer(octets, 'raw');
  p7.addCertificate(cert('alice'));
  p7.addSigner({
    key: key('alice'), certificate: cert('alice'), digestAlgorithm: oids[digest],
    authenticatedAttributes: [
      { type: oids.contentType, value: oids.data }, { type: oids.messageDigest }, { type: oids.signingTime, value: new Date() },
    ],
  });
  p7.sign({ detached: form === 'detached' });
  made = der(p7);
} else if (step === 'encrypt') {
  const p7 = forge.pkcs7.createEnvelopedData();
  p7.addRecipient(cert('bob'));
  p7.content = forge.util.createBuffer(octets, 'raw');
  p7.encrypt(undefined, oids[option]);
  made = der(p7);
} else {
  const p7 = forge.pkcs7.messageFromAsn1(forge.asn1.fromDer(octets));
  p7.decrypt(p7.findRecipient(cert('bob')), key('bob'));
  made = p7.content.getBytes();
}
fs.writeFileSync(output, Buffer.from(made, 'binary'));
