import { ApiError } from '../../kube/api.ts';
import { Pods } from '../../kube/resources.ts';
import type { TokenRequest } from '../../kube/types.ts';
import { badRequest, notFound } from '../errors.ts';
import type { ServiceAccountTokens } from '../pki/tokens.ts';
import type { Registry } from '../registry/registry.ts';
import type { ApiResource } from '../resources.ts';
import { FieldErrors } from '../validation/field-errors.ts';

const tenMinutes = 600;
const oneYear = 365 * 86_400;

/** TokenRequest of a ServiceAccount: a token bound to the account's UID, and to a pod if asked. */
export function requestToken(
  registry: Registry,
  accounts: ApiResource,
  namespace: string,
  name: string,
  request: TokenRequest,
  tokens: ServiceAccountTokens | undefined,
): TokenRequest {
  if (!tokens)
    throw new ApiError(
      501,
      'NotImplemented',
      'this server signs no service account tokens: it was started without a key for them',
    );
  const { object } = registry.get(accounts, namespace, name);
  const { audiences, expirationSeconds = 3600, boundObjectRef } = request.spec ?? {};
  const errors = new FieldErrors();
  if (expirationSeconds < tenMinutes)
    errors.invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration less than 10 minutes');
  if (expirationSeconds > 2 ** 32)
    errors.invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration larger than 2^32 seconds');
  if (errors.any) throw errors.toError({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '');
  let pod: { name: string; uid: string } | undefined;
  if (boundObjectRef) {
    if (boundObjectRef.kind !== 'Pod')
      throw badRequest(`cannot bind token for serviceaccount "${name}" to object of type ${boundObjectRef.kind}`);
    const found = registry.around.store.get(Pods, namespace, boundObjectRef.name ?? '');
    if (!found) throw notFound(Pods, boundObjectRef.name ?? '');
    pod = { name: found.object.metadata.name, uid: found.object.metadata.uid! };
  }
  const { token, expires } = tokens.sign(
    { namespace, serviceAccount: name, uid: object.metadata.uid!, ...(pod && { pod }) },
    {
      expiresInSeconds: Math.min(expirationSeconds, oneYear),
      nowMs: registry.around.now(),
      ...(audiences?.length && { audiences }),
    },
  );
  return {
    ...request,
    metadata: { ...request.metadata, name, namespace },
    spec: { ...request.spec, audiences: audiences?.length ? audiences : [tokens.issuer], expirationSeconds },
    status: { token, expirationTimestamp: `${expires.toISOString().slice(0, 19)}Z` },
  };
}
