import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';

/** Whom a service-account token is for. */
export interface TokenSubject {
  namespace: string;
  serviceAccount: string;
  /** UID of the ServiceAccount: a token dies with the object, not with the name. */
  uid: string;
  /** The pod the token is bound to. */
  pod?: { name: string; uid: string };
}

/** The claims of a verified token. */
export interface TokenClaims extends TokenSubject {
  /** `system:serviceaccount:<namespace>:<name>` */
  username: string;
  groups: string[];
  audiences: string[];
  /** Seconds since 1970. */
  expires: number;
  id: string;
}

/** The token is unusable; the message says why, for logs: clients are only told 401. */
export class TokenError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TokenError';
  }
}

interface Payload {
  iss?: unknown;
  sub?: unknown;
  aud?: unknown;
  exp?: unknown;
  nbf?: unknown;
  jti?: unknown;
  'kubernetes.io'?: {
    namespace?: unknown;
    serviceaccount?: { name?: unknown; uid?: unknown };
    pod?: { name: string; uid: string };
  };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const header = encode({ alg: 'ES256', typ: 'JWT' });
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** Signs and verifies service-account tokens (JWT, ES256) with the claims of the TokenRequest API. */
export class ServiceAccountTokens {
  readonly issuer: string;
  /** PKCS #8 PEM: tokens survive a restart of the server only when it is kept. */
  readonly key: string;
  readonly #private: KeyObject;
  readonly #public: KeyObject;

  constructor(issuer: string, key?: string) {
    this.issuer = issuer;
    this.key =
      key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.#private = createPrivateKey(this.key);
    this.#public = createPublicKey(this.#private);
  }

  sign(
    subject: TokenSubject,
    options: { audiences?: string[]; expiresInSeconds: number; nowMs?: number },
  ): { token: string; expires: Date } {
    const now = Math.floor((options.nowMs ?? Date.now()) / 1000);
    const expires = now + options.expiresInSeconds;
    const payload = encode({
      aud: options.audiences ?? [this.issuer],
      exp: expires,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace: subject.namespace,
        ...(subject.pod && { pod: subject.pod }),
        serviceaccount: { name: subject.serviceAccount, uid: subject.uid },
      },
      nbf: now,
      sub: `system:serviceaccount:${subject.namespace}:${subject.serviceAccount}`,
    });
    const signature = sign('sha256', Buffer.from(`${header}.${payload}`), { key: this.#private, dsaEncoding: 'ieee-p1363' });
    return { token: `${header}.${payload}.${signature.toString('base64url')}`, expires: new Date(expires * 1000) };
  }

  /** @throws TokenError Whether the ServiceAccount and the pod still exist, with these UIDs, is for the caller to check. */
  verify(token: string, options: { audience?: string; nowMs?: number } = {}): TokenClaims {
    const parts = token.split('.');
    const [head = '', body = '', signature = ''] = parts;
    if (parts.length !== 3) throw new TokenError(`not a JWT: ${parts.length} parts instead of 3`);
    // The algorithm is fixed: what the token says of itself decides nothing.
    if (head !== header) throw new TokenError('signed in another way than ours (ES256)');
    const key = { key: this.#public, dsaEncoding: 'ieee-p1363' as const };
    if (!verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')))
      throw new TokenError('the signature is wrong: not signed by this server');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as Payload;
    const now = (options.nowMs ?? Date.now()) / 1000;
    const audience = options.audience ?? this.issuer;
    const { namespace, serviceaccount, pod } = claims['kubernetes.io'] ?? {};
    if (claims.iss !== this.issuer) throw new TokenError(`issued by ${String(claims.iss)}, not by ${this.issuer}`);
    if (typeof claims.exp !== 'number' || claims.exp <= now) throw new TokenError(`expired at ${String(claims.exp)}`);
    if (typeof claims.nbf === 'number' && claims.nbf > now + 60) throw new TokenError(`not valid before ${claims.nbf}`);
    if (!Array.isArray(claims.aud) || !claims.aud.includes(audience))
      throw new TokenError(`for the audience ${String(claims.aud)}, not ${audience}`);
    if (!isText(namespace) || !isText(serviceaccount?.name) || !isText(serviceaccount.uid))
      throw new TokenError('names no service account');
    return {
      namespace,
      serviceAccount: serviceaccount.name,
      uid: serviceaccount.uid,
      pod,
      username: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      audiences: claims.aud as string[],
      expires: claims.exp,
      id: String(claims.jti),
    };
  }
}
