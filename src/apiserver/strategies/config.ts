import { jsonEqual } from '../../kube/objects.ts';
import type { ConfigMap, Secret } from '../../kube/types.ts';
import { strategy } from '../registry/strategy.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { isConfigMapKey } from '../validation/names.ts';

/** 1 MiB, as in etcd. */
const maxBytes = 1024 * 1024;
const frozen = 'field is immutable when `immutable` is set';

function validateKeys(parts: Record<string, Record<string, string> | undefined>, errors: FieldErrors): void {
  const seen = new Set<string>();
  for (const [part, entries] of Object.entries(parts))
    for (const key of Object.keys(entries ?? {})) {
      for (const fault of isConfigMapKey(key)) errors.invalid(`${part}[${key}]`, key, fault);
      if (seen.has(key)) errors.invalid(part, key, 'duplicate of key present in data');
      seen.add(key);
    }
}

export const configMaps = strategy<ConfigMap>({
  validate({ data, binaryData }, errors) {
    validateKeys({ data, binaryData }, errors);
    let bytes = 0;
    for (const value of Object.values(data ?? {})) bytes += Buffer.byteLength(value);
    for (const value of Object.values(binaryData ?? {})) bytes += (value.length * 3) / 4;
    if (bytes > maxBytes) errors.tooLong('', maxBytes);
  },
  validateUpdate(map, old, errors) {
    if (!old.immutable) return;
    if (!map.immutable) errors.forbidden('immutable', frozen);
    if (!jsonEqual(map.data, old.data)) errors.forbidden('data', frozen);
    if (!jsonEqual(map.binaryData, old.binaryData)) errors.forbidden('binaryData', frozen);
  },
});

const requiredKeys: Record<string, string[]> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

export const secrets = strategy<Secret>({
  defaults(secret) {
    secret.type ||= 'Opaque';
    // Write-only in the API: text becomes data.
    for (const [key, value] of Object.entries(secret.stringData ?? {}))
      (secret.data ??= {})[key] = Buffer.from(value).toString('base64');
    delete secret.stringData;
  },
  validate({ type, data, metadata }, errors) {
    validateKeys({ data }, errors);
    let bytes = 0;
    for (const value of Object.values(data ?? {})) bytes += (value.length * 3) / 4;
    if (bytes > maxBytes) errors.tooLong('data', maxBytes);
    for (const key of requiredKeys[type ?? ''] ?? []) if (data?.[key] === undefined) errors.required(`data[${key}]`);
    if (type === 'kubernetes.io/service-account-token' && !metadata.annotations?.['kubernetes.io/service-account.name'])
      errors.required('metadata.annotations[kubernetes.io/service-account.name]');
  },
  validateUpdate(secret, old, errors) {
    if (secret.type !== old.type) errors.invalid('type', secret.type, 'field is immutable');
    if (!old.immutable) return;
    if (!secret.immutable) errors.forbidden('immutable', frozen);
    if (!jsonEqual(secret.data, old.data)) errors.forbidden('data', frozen);
  },
});
