import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import type { IpAddr } from '../../net/ip.ts';
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  octetString,
  oid,
  pem,
  sequence,
  setOf,
  time,
  utf8String,
} from './der.ts';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface KeyPair {
  certificate: string;
  key: string;
}

export interface Subject {
  /** For clients the user name, for nodes `system:node:<name>`. */
  commonName: string;
  /** For clients the groups, e.g. `system:masters`. */
  organizations?: string[];
}

export interface ServerNames {
  dns: string[];
  ips: IpAddr[];
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
const keyUsages = { digitalSignature: 0x80, keyCertSign: 0x04, crlSign: 0x02 };
const extendedKeyUsages = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };
const dayMs = 86_400_000;

const attribute = (id: string, text: string): Buffer => setOf(sequence(oid(id), utf8String(text)));
const name = ({ commonName, organizations = [] }: Subject): Buffer =>
  sequence(...organizations.map((text) => attribute('2.5.4.10', text)), attribute('2.5.4.3', commonName));
const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
/** RFC 5280 4.2.1.2 (1): the SHA-1 of the public key's bits, which are the last 65 bytes of a P-256 SubjectPublicKeyInfo. */
const keyIdentifier = (spki: Buffer): Buffer => createHash('sha1').update(spki.subarray(-65)).digest();

interface Request {
  subject: Subject;
  usage: 'ca' | 'server' | 'client';
  names?: ServerNames;
  days: number;
  issuer?: { subject: Buffer; key: KeyObject; keyId: Buffer };
}

function issue({ subject, usage, names, days, issuer }: Request): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const isCa = usage === 'ca';
  const bits = isCa ? keyUsages.keyCertSign | keyUsages.crlSign : keyUsages.digitalSignature;
  const extensions = [
    extension('2.5.29.19', true, sequence(...(isCa ? [boolean(true)] : []))),
    extension('2.5.29.15', true, bitString(Buffer.from([bits]), isCa ? 1 : 7)),
    extension('2.5.29.14', false, octetString(keyIdentifier(spki))),
    extension('2.5.29.35', false, sequence(implicit(0, issuer?.keyId ?? keyIdentifier(spki)))),
  ];
  if (usage !== 'ca') extensions.push(extension('2.5.29.37', false, sequence(oid(extendedKeyUsages[usage]))));
  if (names && names.dns.length + names.ips.length > 0) {
    const alternatives = [
      ...names.dns.map((host) => implicit(2, Buffer.from(host))),
      ...names.ips.map((ip) => implicit(7, ip.bytes)),
    ];
    extensions.push(extension('2.5.29.17', false, sequence(...alternatives)));
  }
  const now = Date.now();
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    // Serial numbers are positive and at most 20 bytes; 16 random ones never repeat.
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ecdsaWithSha256,
    issuer?.subject ?? name(subject),
    // An hour back: clocks of clients may be slow.
    sequence(time(new Date(now - 3_600_000)), time(new Date(now + days * dayMs))),
    name(subject),
    spki,
    explicit(3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer?.key ?? privateKey);
  const certificate = pem('CERTIFICATE', sequence(body, ecdsaWithSha256, bitString(signature)));
  return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** A certificate authority with an ECDSA P-256 key. Nothing is written to disk. */
export class CertificateAuthority {
  /** PEM, for clients' trust. */
  readonly certificate: string;
  /** PKCS #8 PEM; whoever has it can be anybody. */
  readonly key: string;
  readonly #subject: Subject;
  readonly #key: KeyObject;
  readonly #keyId: Buffer;

  private constructor(pair: KeyPair, subject: Subject) {
    this.certificate = pair.certificate;
    this.key = pair.key;
    this.#subject = subject;
    this.#key = createPrivateKey(pair.key);
    this.#keyId = keyIdentifier(new X509Certificate(pair.certificate).publicKey.export({ type: 'spki', format: 'der' }));
  }

  static create(commonName: string, days = 3650): CertificateAuthority {
    const subject = { commonName };
    return new CertificateAuthority(issue({ subject, usage: 'ca', days }), subject);
  }

  /** From what `certificate` and `key` of an earlier one were. @throws Error when they do not belong together. */
  static load(pair: KeyPair): CertificateAuthority {
    const parsed = new X509Certificate(pair.certificate);
    if (!parsed.checkPrivateKey(createPrivateKey(pair.key)))
      throw new Error('the certificate authority has a key of another certificate');
    const commonName = /^CN=(.*)$/m.exec(parsed.subject)?.[1];
    if (!parsed.ca || commonName === undefined || parsed.subject.includes('\n'))
      throw new Error(`not a certificate authority made by podnet: subject ${parsed.subject.replaceAll('\n', ', ')}`);
    return new CertificateAuthority(pair, { commonName });
  }

  /** A certificate by which a server is known under each of `names`; Go ignores the common name. */
  issueServer(commonName: string, names: ServerNames, days = 365): KeyPair {
    return this.#issue({ subject: { commonName }, usage: 'server', names, days });
  }

  /** A certificate by which a user (common name) with groups (organizations) is known to the server. */
  issueClient(subject: Subject, days = 365): KeyPair {
    return this.#issue({ subject, usage: 'client', days });
  }

  #issue(request: Omit<Request, 'issuer'>): KeyPair {
    return issue({ ...request, issuer: { subject: name(this.#subject), key: this.#key, keyId: this.#keyId } });
  }
}
